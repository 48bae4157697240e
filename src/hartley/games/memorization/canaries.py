"""Canaries: training records with a secret that the auditor draws among R candidates.

A set of canaries is a ``Data`` without the secrets. Its facts say how a secret is written into a
record, in one of two forms:

* **text** (``text_canaries``): ``symbols``, ``length`` and ``ending``; the secret is a
  number;
* **records**: ``cells`` (k,) are positions in a flat record, and ``codes`` (R, k), or (m, R, k),
  the values of each candidate there. ``x`` are the records, ``y`` their labels or None.

A scene makes its own with :func:`planted`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, spawn
from hartley.core.errors import UsageError
from hartley.games.memorization import text_canaries

if TYPE_CHECKING:
    from numpy.typing import NDArray

SYMBOLS = 10
"""Number of values of a digit of a secret."""

MOST = 10_000
"""Largest number of candidates, since an attack scores each of them."""


def candidates(canaries: Data) -> int:
    """Return R, the number of possible secrets of a canary."""
    if "symbols" in canaries.facts:
        return int(len(canaries.facts["symbols"]) ** canaries.facts["length"])
    return int(np.asarray(canaries.facts["codes"]).shape[-2])


def write(canaries: Data, secrets: NDArray[Any]) -> NDArray[Any]:
    """Return the canaries (m, …) with secrets (m,) in 0..R−1 written into them."""
    if "symbols" in canaries.facts:
        return text_canaries.write(canaries, secrets)
    codes = np.asarray(canaries.facts["codes"])
    rows = codes[secrets] if codes.ndim == 2 else codes[np.arange(len(secrets)), secrets]
    out = np.array(canaries.x)
    out.reshape(len(out), -1)[:, canaries.facts["cells"]] = rows
    return out


def every(canaries: Data, i: int) -> Data:
    """Return the R possible records of canary ``i``, in the order of the candidates."""
    r = candidates(canaries)
    facts = dict(canaries.facts)
    if np.ndim(facts.get("codes", 0)) == 3:
        facts["codes"] = np.asarray(facts["codes"])[i]
    if np.ndim(facts.get("ending", 0)) == 2:
        facts["ending"] = np.asarray(facts["ending"])[i]
    records = replace(
        canaries,
        x=np.repeat(canaries.x[i : i + 1], r, axis=0),
        y=None if canaries.y is None else np.repeat(canaries.y[i : i + 1], r),
        facts=facts,
    )
    return replace(records, x=write(records, np.arange(r)))


def planted(data: Data, count: int = 16, *, length: int = 2, seed: int = 0) -> Data:
    """Return canaries made of records, for a scene's ``extra["canaries"]``.

    The kind of secret depends on the records:

    * **pictures, tables, small graphs** (float32 with labels): ``length`` digits; each sets one of
      ten cells to the largest value. The cells are those that vary least (a corner, rare fields).
    * **sound** (float32 (n, 1, bands, frames)): ``length`` successive tones, each in one of ten
      bands (the canaries of speech models, arXiv:2204.09606).
    * **pairs** (no labels, ``facts["split"]``): which of 10^length captions a picture has.
    * **nodes** (int64 (n, 1) indices with labels): which node of a class was in the training set.
      All canaries have the same number of candidates, as many as ``data`` allows, at most
      10^length.

    A canary has a wrong label, if it has one (mislabelled canaries, arXiv:2305.08846), so that the
    model can learn the label from the canary only.

    Args:
        data: the records. No model may be trained on them otherwise.
        count: number of canaries.
        length: digits of a secret, so that R = 10^length.
        seed: of the choice of records and labels.

    Raises:
        UsageError: ``count`` or ``length`` is out of range.
    """
    if not 1 <= count <= len(data):
        raise UsageError(
            f"count must be from 1 to {len(data)}, the records of {data.name}, got {count}"
        )
    if length < 1 or SYMBOLS**length > MOST:
        raise UsageError(f"length must be from 1 to 4 digits, got {length}")
    rng = np.random.default_rng(spawn(seed, "canaries", data.name))
    order = rng.permutation(len(data))
    if data.x.dtype.kind in "iu":
        return _nodes(data, order, count, SYMBOLS**length)
    if data.y is None:
        return _pairs(data, order, count, SYMBOLS**length)
    groups = (
        _tones(data, length) if data.modality is Modality.AUDIO else _constant_cells(data, length)
    )
    classes, label_index = np.unique(data.y, return_inverse=True)
    rows = order[:count]
    shift = rng.integers(1, len(classes), count) if len(classes) > 1 else np.zeros(count, int)
    return _with_codes(
        data,
        rows,
        classes[(label_index.reshape(-1)[rows] + shift) % len(classes)],
        groups.reshape(-1),
        _one_hot_codes(groups, float(data.x.min()), float(data.x.max())).astype(data.x.dtype),
    )


def _with_codes(
    data: Data, rows: NDArray[Any], y: NDArray[Any] | None, cells: NDArray[Any], codes: NDArray[Any]
) -> Data:
    return replace(
        data,
        name="canaries",
        x=data.x[rows],
        y=y,
        role="canaries",
        facts={**data.facts, "cells": cells, "codes": codes},
    )


def _one_hot_codes(groups: NDArray[Any], low: float, high: float) -> NDArray[np.float64]:
    """Return codes (10^length, cells): each digit sets one of its ten groups of cells to high."""
    length, symbols, width = groups.shape
    secrets = np.arange(symbols**length)
    codes = np.full((len(secrets), length, symbols, width), low)
    for place in range(length):
        digit = secrets // symbols ** (length - 1 - place) % symbols
        codes[secrets, place, digit] = high
    return codes.reshape(len(secrets), -1)


def _constant_cells(data: Data, length: int) -> NDArray[np.int64]:
    """Return the cells (length, 10, 1) that vary least among the records, in ascending order."""
    spread = data.x.reshape(len(data), -1).std(0)
    need = SYMBOLS * length
    if len(spread) < need:
        raise UsageError(
            f"records of {data.name} must have at least {need} cells for {length} digits, got "
            f"{len(spread)}"
        )
    cells = np.sort(np.argsort(spread, kind="stable")[:need])
    return np.asarray(cells.reshape(length, SYMBOLS, 1), dtype=np.int64)


def _tones(data: Data, length: int) -> NDArray[np.int64]:
    """Return cells (length, 10, w): ten bands, and separate frames of the clip for every digit."""
    bands, frames = data.x.shape[-2:]
    width = frames // length
    if bands < SYMBOLS or width < 1 or data.x[0].size != bands * frames:
        raise UsageError(
            f"clips of {data.name} must have at least {SYMBOLS} bands and {length} frames for a "
            f"secret of {length} tones, got {bands} and {frames}"
        )
    band = np.linspace(0, bands - 1, SYMBOLS).round().astype(np.int64)
    frame = np.arange(length * width).reshape(length, 1, width)
    return np.asarray(band[None, :, None] * frames + frame, dtype=np.int64)


def _pairs(data: Data, order: NDArray[Any], count: int, most: int) -> Data:
    """Return canaries of pairs: the codes (R, d₂) are the captions of other pairs."""
    split = int(data.facts.get("split", 0))
    others = order[count : count + most]
    if not split or len(others) < 2:
        raise UsageError(
            f"{data.name} must have facts['split'] and more than {count + 1} pairs, got "
            f"{split} and {len(data)}"
        )
    cells = np.arange(split, data.x.shape[1])
    return _with_codes(data, order[:count], None, cells, data.x[others][:, split:])


def _nodes(data: Data, order: NDArray[Any], count: int, most: int) -> Data:
    """Return canaries of nodes: the codes (m, R, 1) are nodes of one class, all different."""
    if data.y is None or data.x[0].size != 1:
        raise UsageError(f"integer records of {data.name} must be labelled nodes")
    by_class = [order[data.y[order] == name] for name in np.unique(data.y)]
    share = np.bincount(np.arange(count) % len(by_class), minlength=len(by_class))
    r = min([most, *(len(nodes) // n for nodes, n in zip(by_class, share, strict=True) if n)])
    if r < 2:
        raise UsageError(f"{data.name} must have at least two nodes of a class per canary")
    chosen = np.stack(
        [
            by_class[i % len(by_class)][i // len(by_class) * r : (i // len(by_class) + 1) * r]
            for i in range(count)
        ]
    )
    cells, codes = np.zeros(1, dtype=np.int64), data.x[chosen].reshape(count, r, 1)
    return _with_codes(data, chosen[:, 0], data.y[chosen[:, 0]], cells, codes)

"""Canaries: training records with a secret in them that the auditor draws among R candidates.

A set of canaries is a ``Data`` that tells everything but the secrets. Its facts say how a secret is
written into a record, in one of two forms:

* **text** (``text_canaries``): ``symbols``, ``length`` and ``ending``; the secret is a
  number;
* **records**: ``cells`` (k,) flat places in a record and ``codes`` (R, k), or (m, R, k), what each
  candidate writes there. ``x`` holds the records, ``y`` their labels (None where there are none).

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
"""Of a written secret, as digits are."""

MOST = 10_000
"""Candidates at most: every one of them is asked about."""


def candidates(canaries: Data) -> int:
    """The number R of secrets that one canary could carry."""
    if "symbols" in canaries.facts:
        return int(len(canaries.facts["symbols"]) ** canaries.facts["length"])
    return int(np.asarray(canaries.facts["codes"]).shape[-2])


def write(canaries: Data, secrets: NDArray[Any]) -> NDArray[Any]:
    """Return the canaries (m, …) with their secrets (m,), 0..R−1, in them."""
    if "symbols" in canaries.facts:
        return text_canaries.write(canaries, secrets)
    codes = np.asarray(canaries.facts["codes"])
    rows = codes[secrets] if codes.ndim == 2 else codes[np.arange(len(secrets)), secrets]
    out = np.array(canaries.x)
    out.reshape(len(out), -1)[:, canaries.facts["cells"]] = rows
    return out


def every(canaries: Data, i: int) -> Data:
    """Return the R records that canary ``i`` could be, in the order of the candidates."""
    r = candidates(canaries)
    facts = dict(canaries.facts)
    if np.ndim(facts.get("codes", 0)) == 3:
        facts["codes"] = np.asarray(facts["codes"])[i]
    if np.ndim(facts.get("ending", 0)) == 2:
        facts["ending"] = np.asarray(facts["ending"])[i]
    one = replace(
        canaries,
        x=np.repeat(canaries.x[i : i + 1], r, axis=0),
        y=None if canaries.y is None else np.repeat(canaries.y[i : i + 1], r),
        facts=facts,
    )
    return replace(one, x=write(one, np.arange(r)))


def planted(data: Data, count: int = 16, *, length: int = 2, seed: int = 0) -> Data:
    """Make canaries of records that nobody trains on otherwise: a scene's ``extra["canaries"]``.

    What a secret is follows from the records:

    * **pictures, tables, small graphs** (float32 with labels): ``length`` digits, each written as
      one of ten cells that is lit, in cells that hardly vary otherwise (a corner, rare fields);
    * **sound** (float32 (n, 1, bands, frames)): ``length`` tones one after the other, each in one
      of ten bands (the canaries of speech models, arXiv:2204.09606);
    * **pairs** (no labels, ``facts["split"]``): which of 10^length captions goes with a picture;
    * **nodes** (int64 (n, 1) numbers with labels): which of the nodes of its class was in the
      training set; as many candidates as ``data`` has for every canary, at most 10^length.

    A canary's label, where it has one, is another than the record's own (mislabelled canaries,
    arXiv:2305.08846): the model has no reason to believe it but the canary itself.

    Args:
        data: the records, for example a part of what is left over. Nothing else may train on them.
        count: canaries.
        length: digits of a secret, so that R = 10^length.
        seed: which records, and which labels.

    Raises:
        UsageError: no canaries, more than there are records, or secrets too long to enumerate.
    """
    if not 1 <= count <= len(data):
        raise UsageError(f"{count} canaries; between 1 and {len(data)} can be made of {data.name}")
    if length < 1 or SYMBOLS**length > MOST:
        raise UsageError(f"secrets of {length} digits; 1 to 4 digits can be enumerated")
    rng = np.random.default_rng(spawn(seed, "canaries", data.name))
    order = rng.permutation(len(data))
    if data.x.dtype.kind in "iu":
        return _nodes(data, order, count, SYMBOLS**length)
    if data.y is None:
        return _pairs(data, order, count, SYMBOLS**length)
    groups = _tones(data, length) if data.modality is Modality.AUDIO else _quiet(data, length)
    names, own = np.unique(data.y, return_inverse=True)
    rows = order[:count]
    shift = rng.integers(1, len(names), count) if len(names) > 1 else np.zeros(count, int)
    return _made(
        data,
        rows,
        names[(own.reshape(-1)[rows] + shift) % len(names)],
        groups.reshape(-1),
        _lit(groups, float(data.x.min()), float(data.x.max())).astype(data.x.dtype),
    )


def _made(
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


def _lit(groups: NDArray[Any], low: float, high: float) -> NDArray[np.float64]:
    """Codes (10^length, cells): of every digit's ten groups of cells one is lit."""
    length, symbols, width = groups.shape
    secrets = np.arange(symbols**length)
    codes = np.full((len(secrets), length, symbols, width), low)
    for place in range(length):
        digit = secrets // symbols ** (length - 1 - place) % symbols
        codes[secrets, place, digit] = high
    return codes.reshape(len(secrets), -1)


def _quiet(data: Data, length: int) -> NDArray[np.int64]:
    """Cells (length, 10, 1) that vary least among the records, in the order of their places."""
    spread = data.x.reshape(len(data), -1).std(0)
    need = SYMBOLS * length
    if len(spread) < need:
        raise UsageError(
            f"{data.name} has {len(spread)} cells a record; {length} digits need {need}"
        )
    cells = np.sort(np.argsort(spread, kind="stable")[:need])
    return np.asarray(cells.reshape(length, SYMBOLS, 1), dtype=np.int64)


def _tones(data: Data, length: int) -> NDArray[np.int64]:
    """Cells (length, 10, w): ten bands, and for every digit its own frames of the clip."""
    bands, frames = data.x.shape[-2:]
    width = frames // length
    if bands < SYMBOLS or width < 1 or data.x[0].size != bands * frames:
        raise UsageError(
            f"{data.name} has {bands} bands and {frames} frames; "
            f"a secret of {length} tones needs {SYMBOLS} and {length}"
        )
    band = np.linspace(0, bands - 1, SYMBOLS).round().astype(np.int64)
    frame = np.arange(length * width).reshape(length, 1, width)
    return np.asarray(band[None, :, None] * frames + frame, dtype=np.int64)


def _pairs(data: Data, order: NDArray[Any], count: int, most: int) -> Data:
    """Which caption goes with a picture: codes (R, d₂) are the captions of other pairs."""
    split = int(data.facts.get("split", 0))
    others = order[count : count + most]
    if not split or len(others) < 2:
        raise UsageError(
            f"{data.name} has {len(data)} pairs and split = {split}: canaries need the width of "
            f"the first side and more than {count + 1} pairs"
        )
    cells = np.arange(split, data.x.shape[1])
    return _made(data, order[:count], None, cells, data.x[others][:, split:])


def _nodes(data: Data, order: NDArray[Any], count: int, most: int) -> Data:
    """Which node of its class was learnt: codes (m, R, 1), no node with two canaries."""
    if data.y is None or data.x[0].size != 1:
        raise UsageError(f"{data.name} has whole numbers that are no labelled nodes")
    by = [order[data.y[order] == name] for name in np.unique(data.y)]
    share = np.bincount(np.arange(count) % len(by), minlength=len(by))
    r = min([most, *(len(own) // n for own, n in zip(by, share, strict=True) if n)])
    if r < 2:
        raise UsageError(f"{data.name} has too few nodes of a class for {count} canaries")
    mine = np.stack(
        [by[i % len(by)][i // len(by) * r : (i // len(by) + 1) * r] for i in range(count)]
    )
    return _made(
        data, mine[:, 0], data.y[mine[:, 0]], np.zeros(1, dtype=np.int64), data.x[mine].reshape(
            count, r, 1
        )
    )  # fmt: skip

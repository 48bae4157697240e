"""Deduplication: train on each record once, since models memorise mainly what is repeated."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import ALL, Data, Ensemble, Modality, Range, Scene, Term, defense

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BLOCK = 1024
"""Records whose cosines with all others are computed at once; limits memory."""


@defense(
    term=Term.SIGNAL,
    stage="data",
    protects=("memorization",),
    modalities=ALL,
    paper="arXiv:2107.06499",
    strongest={"threshold": 0.5, "ngram": 2},
    requires=("fit", "model", "train"),
)
def deduplication(
    scene: Scene,
    rng: Rng,
    *,
    threshold: Annotated[float, Range(0, 1, open_low=True)] = 0.8,
    ngram: Annotated[int, Range(1)] = 4,
    alike: Annotated[float, Range(0, 1, open_low=True)] = 1.0,
) -> Scene:
    """Drop duplicate records before training; the earliest copy stays.

    Two texts are copies if the Jaccard similarity of their token n-grams reaches the threshold. It
    is computed exactly, from an index of n-grams; the paper approximates it because of the size of
    its data. Other records are copies if they and their labels are identical; for a node this means
    the same node, for a pair that both sides are equal. If ``alike`` is below 1, near copies count
    too, by the rule of SemDeDup (arXiv:2303.09540): the cosine is at least ``alike`` and the labels
    are equal; for a pair both sides must be that similar. SemDeDup compares features of a
    pretrained model, which the sides of a pair are. Raw pictures, clips and rows of tables are too
    similar for it: at 0.95 it drops half of the digits.

    Args:
        threshold: Jaccard similarity at which a text counts as a copy.
        ngram: tokens in an n-gram.
        alike: cosine at which any other record counts as a copy; 1 drops identical records only.
    """
    del rng
    train, fit, deployed = scene.train, scene.fit, scene.model
    assert train is not None and fit is not None and deployed is not None

    def without_copies(data: Data, include: NDArray[Any]) -> NDArray[np.bool_]:
        if data.modality is Modality.LANGUAGE:
            return once(data.x, include, ngram=ngram, threshold=threshold)
        return first(*distinct(data, alike), include)

    def cleaned(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        return fit(data, without_copies(data, include), seed)

    everyone = np.ones((1, len(train)), dtype=bool)
    trained = cleaned(train, everyone, scene.settings.seed).member(0)
    # Which records stay depends on all records, so a proof about a single one no longer holds
    # (keeps_proof is False).
    return replace(
        scene,
        model=trained.with_(
            name=deployed.name,
            fit=cleaned if deployed.fit is not None else None,
            offers=deployed.offers,
        ),
        fit=cleaned,
        facts={
            **scene.facts,
            "records dropped as copies": int((~without_copies(train, everyone)).sum()),
        },
    )


def once(
    x: NDArray[Any], include: NDArray[Any], *, ngram: int, threshold: float
) -> NDArray[np.bool_]:
    """Return ``include`` (K, n) without near-duplicates of earlier included texts.

    Args:
        x: (n, t) token ids, padded with −1.
        include: (K, n) which record each of K models is trained on.
        ngram: tokens in an n-gram.
        threshold: similarity in 0..1.
    """
    texts, same = np.unique(x, axis=0, return_inverse=True)
    return first(same.reshape(-1), neighbours(texts, ngram=ngram, threshold=threshold), include)


def first(
    same: NDArray[np.int64], near: list[set[int]], include: NDArray[Any]
) -> NDArray[np.bool_]:
    """Return ``include`` (K, n) without the copies of earlier included records.

    Args:
        same: (n,) index of the distinct record that each record equals.
        near: for each distinct record the indices of others that count as its copies.
        include: (K, n) which record each of K models is trained on.
    """
    out = np.array(include, dtype=bool)
    for row in out:
        earlier: set[int] = set()
        for i in np.flatnonzero(row):
            record = int(same[i])
            if record in earlier or not earlier.isdisjoint(near[record]):
                row[i] = False
            else:
                earlier.add(record)
    return out


def distinct(data: Data, alike: float) -> tuple[NDArray[np.int64], list[set[int]]]:
    """Return the distinct record that each record equals (n,), and near copies of each distinct."""
    rows = np.ascontiguousarray(data.x.reshape(len(data), -1))
    labels: Any = [b""] * len(rows) if data.y is None else data.y.tolist()
    numbers: dict[tuple[bytes, Any], int] = {}
    keys = ((row.tobytes(), y) for row, y in zip(rows, labels, strict=True))
    same = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    near: list[set[int]] = [set() for _ in numbers]
    # Indices of nodes are names, between which a cosine means nothing.
    if alike < 1 and rows.dtype.kind == "f":
        _, where = np.unique(same, return_index=True)
        split = int(data.facts.get("split", 0)) if data.modality is Modality.PAIRED else 0
        sides = [_unit(part) for part in np.split(rows[where], [split], axis=1) if part.size]
        distinct_labels = None if data.y is None else data.y[where]
        for start in range(0, len(where), BLOCK):
            here = slice(start, start + BLOCK)
            hit = np.logical_and.reduce([side[here] @ side.T >= alike for side in sides])
            if distinct_labels is not None:
                hit &= distinct_labels[here, None] == distinct_labels
            for i, j in zip(*np.nonzero(hit), strict=True):
                if start + i != j:
                    near[start + int(i)].add(int(j))
    return same, near


def _unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    wide = np.asarray(rows, dtype=np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def neighbours(texts: NDArray[Any], *, ngram: int, threshold: float) -> list[set[int]]:
    """Return for each of several distinct texts the others with a similarity ≥ threshold."""
    grams = [_grams(row, ngram) for row in texts.tolist()]
    index: dict[tuple[int, ...], list[int]] = defaultdict(list)
    near: list[set[int]] = [set() for _ in grams]
    for i, own_grams in enumerate(grams):
        shared: Counter[int] = Counter()
        for gram in own_grams:
            shared.update(index[gram])
            index[gram].append(i)
        for j, common in shared.items():
            if common >= threshold * (len(own_grams) + len(grams[j]) - common):
                near[i].add(j)
                near[j].add(i)
    return near


def _grams(row: list[int], ngram: int) -> set[tuple[int, ...]]:
    tokens = [i for i in row if i >= 0]
    size = min(ngram, len(tokens))
    return {tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)}

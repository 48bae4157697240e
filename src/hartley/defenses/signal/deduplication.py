"""Deduplication: what stands in the training data only once is hardly learnt by heart."""

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
"""Records whose cosines with all others are held at once."""


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
    """Drop duplicates from the records before every training; of copies the earliest is kept.

    Texts are copies when the Jaccard similarity of their token n-grams reaches the threshold,
    computed exactly, from an index of n-grams, where the paper approximates it for its size. Any
    other records are copies when they are identical, label included: of a node that is listed
    again, of a pair, both sides. Below an ``alike`` of 1 near ones count as well, by the rule of
    SemDeDup (arXiv:2303.09540): a cosine of that much and the same label; of a pair, on both
    sides, which are features of public towers, as that rule wants. Raw pictures, clips and tables
    differ too little for it: at 0.95 it takes half of the digits.

    Args:
        threshold: similarity from which on a text counts as a copy.
        ngram: tokens in an n-gram.
        alike: cosine from which on any other record counts as a copy; 1 takes identical ones only.
    """
    del rng
    train, fit, deployed = scene.train, scene.fit, scene.model
    assert train is not None and fit is not None and deployed is not None

    def kept(data: Data, include: NDArray[Any]) -> NDArray[np.bool_]:
        if data.modality is Modality.LANGUAGE:
            return once(data.x, include, ngram=ngram, threshold=threshold)
        return first(*distinct(data, alike), include)

    def cleaned(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        return fit(data, kept(data, include), seed)

    everyone = np.ones((1, len(train)), dtype=bool)
    again = cleaned(train, everyone, scene.settings.seed).member(0)
    # Which records stay depends on all: no proof for a single one survives that (keeps_proof).
    return replace(
        scene,
        model=again.with_(
            name=deployed.name,
            fit=cleaned if deployed.fit is not None else None,
            offers=deployed.offers,
        ),
        fit=cleaned,
        facts={
            **scene.facts,
            "records dropped as copies": int((~kept(train, everyone)).sum()),
        },
    )


def once(
    x: NDArray[Any], include: NDArray[Any], *, ngram: int, threshold: float
) -> NDArray[np.bool_]:
    """Return ``include`` (K, n) without near-duplicates of earlier included texts.

    Args:
        x: (n, t) token ids, padded with −1.
        include: (K, n) who trains on what.
        ngram: tokens in an n-gram.
        threshold: similarity in 0..1.
    """
    texts, same = np.unique(x, axis=0, return_inverse=True)
    return first(same.reshape(-1), neighbours(texts, ngram=ngram, threshold=threshold), include)


def first(
    same: NDArray[np.int64], near: list[set[int]], include: NDArray[Any]
) -> NDArray[np.bool_]:
    """Return ``include`` (K, n) less what is a copy of an earlier included record.

    Args:
        same: (n,) which distinct record each record is.
        near: for each distinct record the others that count as its copies.
        include: (K, n) who trains on what.
    """
    out = np.array(include, dtype=bool)
    for row in out:
        seen: set[int] = set()
        for i in np.flatnonzero(row):
            one = int(same[i])
            if one in seen or not seen.isdisjoint(near[one]):
                row[i] = False
            else:
                seen.add(one)
    return out


def distinct(data: Data, alike: float) -> tuple[NDArray[np.int64], list[set[int]]]:
    """Which distinct record each of ``data`` is (n,), and which distinct ones are near copies."""
    rows = np.ascontiguousarray(data.x.reshape(len(data), -1))
    labels: Any = [b""] * len(rows) if data.y is None else data.y.tolist()
    numbers: dict[tuple[bytes, Any], int] = {}
    keys = ((row.tobytes(), y) for row, y in zip(rows, labels, strict=True))
    same = np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
    near: list[set[int]] = [set() for _ in numbers]
    # Numbers of nodes are names: they lie near nothing.
    if alike < 1 and rows.dtype.kind == "f":
        _, where = np.unique(same, return_index=True)
        split = int(data.facts.get("split", 0)) if data.modality is Modality.PAIRED else 0
        sides = [_unit(part) for part in np.split(rows[where], [split], axis=1) if part.size]
        kinds = None if data.y is None else data.y[where]
        for start in range(0, len(where), BLOCK):
            here = slice(start, start + BLOCK)
            hit = np.logical_and.reduce([side[here] @ side.T >= alike for side in sides])
            if kinds is not None:
                hit &= kinds[here, None] == kinds
            for i, j in zip(*np.nonzero(hit), strict=True):
                if start + i != j:
                    near[start + int(i)].add(int(j))
    return same, near


def _unit(rows: NDArray[Any]) -> NDArray[np.float64]:
    wide = np.asarray(rows, dtype=np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-12))


def neighbours(texts: NDArray[Any], *, ngram: int, threshold: float) -> list[set[int]]:
    """Return for each record (of distinct ones) the others with a similarity ≥ threshold."""
    grams = [_grams(row, ngram) for row in texts.tolist()]
    index: dict[tuple[int, ...], list[int]] = defaultdict(list)
    near: list[set[int]] = [set() for _ in grams]
    for i, mine in enumerate(grams):
        shared: Counter[int] = Counter()
        for gram in mine:
            shared.update(index[gram])
            index[gram].append(i)
        for j, common in shared.items():
            if common >= threshold * (len(mine) + len(grams[j]) - common):
                near[i].add(j)
                near[j].add(i)
    return near


def _grams(row: list[int], ngram: int) -> set[tuple[int, ...]]:
    said = [i for i in row if i >= 0]
    size = min(ngram, len(said))
    return {tuple(said[i : i + size]) for i in range(len(said) - size + 1)}

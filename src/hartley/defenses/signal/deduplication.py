"""Deduplication: what stands in the training data only once is hardly learnt by heart."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Applied, Data, Ensemble, Modality, Move, Scene, defense

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    moves=Move.SIGNAL,
    acts="data",
    protects=("memorization",),
    fits=(Modality.LANGUAGE,),
    paper="arXiv:2107.06499",
    strongest={"threshold": 0.5, "ngram": 2},
    requires=("fit", "model", "train"),
)
def deduplication(scene: Scene, rng: Rng, *, threshold: float = 0.8, ngram: int = 4) -> Scene:
    """Drop near-duplicates from the records before every training.

    Two records are near-duplicates when the Jaccard similarity of their token n-grams reaches the
    threshold; of each such pair among a model's records, the earlier one is kept. Similarity is
    computed exactly, from an index of n-grams, where the paper approximates it for its size.

    Args:
        threshold: similarity from which on a record counts as a copy.
        ngram: tokens in an n-gram.
    """
    del rng
    train, fit, deployed = scene.train, scene.fit, scene.model
    assert train is not None and fit is not None and deployed is not None

    def cleaned(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        return fit(data, once(data.x, include, ngram=ngram, threshold=threshold), seed)

    everyone = np.ones((1, len(train)), dtype=bool)
    kept = once(train.x, everyone, ngram=ngram, threshold=threshold)[0]
    again = cleaned(train, everyone, int(scene.facts.get("seed", 0))).member(0)
    return replace(
        scene,
        model=replace(
            again,
            name=deployed.name,
            fit=cleaned if deployed.fit is not None else None,
            offers=deployed.offers,
            lineage=(*deployed.lineage, "deduplication"),
        ),
        fit=cleaned,
        defenses=(
            *scene.defenses,
            Applied("deduplication", {"threshold": threshold, "ngram": ngram}),
        ),
        facts={**scene.facts, "records dropped as copies": int((~kept).sum())},
    )


def once(
    x: NDArray[Any], include: NDArray[Any], *, ngram: int, threshold: float
) -> NDArray[np.bool_]:
    """Return ``include`` (K, n) without near-duplicates of earlier included records.

    Args:
        x: (n, t) token ids, padded with −1.
        include: (K, n) who trains on what.
        ngram: tokens in an n-gram.
        threshold: similarity in 0..1.
    """
    texts, same = np.unique(x, axis=0, return_inverse=True)
    near, same = neighbours(texts, ngram=ngram, threshold=threshold), same.reshape(-1)
    out = np.array(include, dtype=bool)
    for row in out:
        seen: set[int] = set()
        for i in np.flatnonzero(row):
            text = int(same[i])
            if text in seen or not seen.isdisjoint(near[text]):
                row[i] = False
            else:
                seen.add(text)
    return out


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

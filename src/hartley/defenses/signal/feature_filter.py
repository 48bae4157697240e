"""Feature filter: drop pairs whose caption is unlike those of clean pictures that look alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Fit, Modality, Range, Scene, Term, defense
from hartley.defenses._shared import retrain_without
from hartley.defenses._shared.clean_records import clean_pairs
from hartley.kit import kmeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(Modality.PAIRED,),
    unfit={
        "vision": "it compares a picture with the captions of pictures that look alike, and only "
        "pairs have captions; loss_filter judges labels",
        "language": "it compares a picture with the captions of pictures that look alike, and only "
        "pairs have captions; loss_filter judges labels",
        "audio": "it compares a picture with the captions of pictures that look alike, and only "
        "pairs have captions; loss_filter judges labels",
        "tabular": "it compares a picture with the captions of pictures that look alike, and only "
        "pairs have captions; loss_filter judges labels",
        "graph": "it compares a picture with the captions of pictures that look alike, and only "
        "pairs have captions; loss_filter judges labels",
    },
    paper="arXiv:2411.11195",
    strongest={"false_alarms": 0.5},
    requires=("fit", "train", "holdout"),
)
def feature_filter(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.05,
    neighbours: Annotated[int, Range(1)] = 5,
    clean: Annotated[int, Range(2)] = 1000,
) -> Scene:
    """Drop training pairs by the frozen encoders' features alone, and train the rest.

    A training pair is dropped if the mean cosine between its caption and the captions of the clean
    pictures nearest to its own is lower than for all but a share ``false_alarms`` of the clean
    pairs themselves. Nothing is trained for it, so that poison cannot move it.

    Args:
        false_alarms: share of clean pairs that the threshold drops.
        neighbours: clean pictures whose captions are compared.
        clean: the owner's held-out pairs that are used, at most.
    """
    trusted = clean_pairs(scene, clean, "feature_filter")
    split, count = trusted.facts["split"], min(neighbours, len(trusted) - 1)
    usual = agreement(trusted.x, trusted.x, split, count, themselves=True)
    limit = np.quantile(usual, false_alarms, method="lower")

    def choose(fit: Fit, data: Data, include: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
        del fit, seed
        return include & (agreement(data.x, trusted.x, split, count) < limit)

    return retrain_without.dropping(scene, rng, choose)


def agreement(
    pairs: NDArray[Any],
    clean: NDArray[Any],
    split: int,
    count: int,
    *,
    themselves: bool = False,
) -> NDArray[np.float64]:
    """Return the mean cosine (n,) of each caption with those of the nearest clean pictures.

    Args:
        pairs: (n, d) features, pictures' first.
        clean: (m, d) features of clean pairs.
        split: where a caption's features begin.
        count: clean pictures that are compared.
        themselves: whether both are the same pairs; none is then compared with itself.
    """
    away = kmeans.distances(kmeans.flat(pairs[:, :split]), kmeans.flat(clean[:, :split]))
    if themselves:
        np.fill_diagonal(away, np.inf)
    nearest = np.argpartition(away, count - 1, axis=1)[:, :count]
    captions, others = (
        x[:, split:] / np.maximum(np.linalg.norm(x[:, split:], axis=1, keepdims=True), 1e-12)
        for x in (pairs, clean)
    )
    return np.asarray((others[nearest] * captions[:, None]).sum(2).mean(1), dtype=np.float64)

"""Spectral signatures: poison sticks out along one direction of what a network has learnt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.defenses._shared import retrain_without

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1811.00636",
    strongest={"remove": 0.5},
    requires=("fit", "train"),
)
def spectral_signatures(
    scene: Scene, rng: Rng, *, remove: Annotated[float, Range(0, 1, open_high=True)] = 0.2
) -> Scene:
    """Train once, drop the records that stick out of their class, and train again.

    For each class of a model's own training records the representations of a first model (its last
    hidden layer; the records themselves where the pipeline shows no network) are centred, and the
    records with the largest squared projection on the top singular direction are dropped. The
    paper drops 1.5 times the expected share of poison. Poison that makes up most of a class is
    beyond it: then the honest records stick out.

    Args:
        remove: share of every class that is dropped.
    """
    return retrain_without.retrained(scene, rng, lambda x, y: _outliers(x, y, remove))


def _outliers(seen: NDArray[Any], labels: NDArray[Any], remove: float) -> NDArray[np.bool_]:
    """Mark the share ``remove`` of each class with the largest top singular projection."""
    out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        centred = seen[rows] - seen[rows].mean(0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        score = (centred @ directions[0]) ** 2
        out[rows[np.argsort(-score, kind="stable")[: int(remove * len(rows))]]] = True
    return out

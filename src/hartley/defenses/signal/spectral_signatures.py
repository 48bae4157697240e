"""Spectral signatures: poison is extreme along one direction of a network's activations."""

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
    """Train once, drop the outliers of each class, and train again.

    For each class, the activations of a first model on its own training records are centred, and
    the records with the largest squared projection on the top singular direction are dropped. The
    activations are the last hidden layer, or the records themselves where the pipeline does not
    give access to a network. The paper drops 1.5 times the expected share of poison. The defense
    fails against poison that makes up most of a class: the clean records are then the outliers.

    Args:
        remove: share of every class that is dropped.
    """
    return retrain_without.retrained(scene, rng, lambda x, y: _outliers(x, y, remove))


def _outliers(activations: NDArray[Any], labels: NDArray[Any], remove: float) -> NDArray[np.bool_]:
    """Return which rows (n,) are the share ``remove`` of each class with the largest projection."""
    out = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        centred = activations[rows] - activations[rows].mean(0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        score = (centred @ directions[0]) ** 2
        out[rows[np.argsort(-score, kind="stable")[: int(remove * len(rows))]]] = True
    return out

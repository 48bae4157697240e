"""Spectral signatures: poison is extreme along one direction of a network's activations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.defenses._shared import retrain_without
from hartley.defenses._shared.clean_records import clean_records

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


CLEAN = 1000
"""Clean held-out records that a threshold is calibrated on, at most."""


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.TABULAR,
        Modality.GRAPH,
    ),
    unfit={
        "paired": "it goes through the classes of labels, and pairs have none; feature_filter and"
        " loss_filter judge pairs",
    },
    paper="arXiv:1811.00636",
    strongest={"remove": 0.5},
    requires=("fit", "train"),
)
def spectral_signatures(
    scene: Scene,
    rng: Rng,
    *,
    remove: Annotated[float, Range(0, 1, open_high=True)] = 0.2,
    false_alarms: Annotated[float, Range(0, 0.5)] = 0.0,
) -> Scene:
    """Train once, drop the outliers of each class, and train again.

    For each class, the activations of a first model on its own training records are centred, and
    the records with the largest squared projection on the top singular direction are dropped. The
    activations are the last hidden layer, or the records themselves where the pipeline does not
    give access to a network. The paper drops 1.5 times the expected share of poison. The defense
    fails against poison that makes up most of a class: the clean records are then the outliers.

    Args:
        remove: share of every class that is dropped.
        false_alarms: if above 0, how many are dropped is calibrated on clean held-out records
            instead: those of a larger projection than all but this share of the clean records of
            their class.

    Raises:
        UsageError: ``false_alarms`` is set and a class has no clean held-out record.
    """
    clean = None
    if false_alarms:
        clean = clean_records(scene, CLEAN, "spectral_signatures", each_class=True)

    def flag(trained: retrain_without.Features, trusted: retrain_without.Features) -> Any:
        if not false_alarms:
            return _outliers(trained.x, trained.y, remove)
        return _beyond(trained, trusted, false_alarms)

    return retrain_without.retrained(scene, rng, flag, clean, together=True)


def _beyond(
    trained: retrain_without.Features, trusted: retrain_without.Features, false_alarms: float
) -> NDArray[np.bool_]:
    """Return which rows (n,) project farther than all but a share of the clean ones do."""
    out = np.zeros(len(trained.y), dtype=bool)
    for label in np.unique(trained.y):
        rows = np.flatnonzero(trained.y == label)
        # The direction is that of both, so that clean records of either side are alike.
        x = np.concatenate([trained.x[rows], trusted.x[trusted.y == label]])
        centred = x - x.mean(0)
        _, _, directions = np.linalg.svd(centred, full_matrices=False)
        score, usual = np.split((centred @ directions[0]) ** 2, [len(rows)])
        out[rows] = score > np.quantile(usual, 1 - false_alarms, method="higher")
    return out


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

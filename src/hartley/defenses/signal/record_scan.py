"""Record scan: drop what several detectors, calibrated on clean records, find suspicious."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Ensemble, Fit, Modality, Range, Scene, Term, defense
from hartley.defenses._shared import retrain_without
from hartley.games.poisoning.poisoning import DETECTED
from hartley.games.poisoning.suspicion import check_rate, scanned

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


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
        "paired": "its detectors judge labels, and pairs have none; alignment_filter, loss_filter"
        " and feature_filter judge pairs",
    },
    paper="hartley",
    strongest={"false_alarms": 0.5},
    requires=("fit", "train"),
)
def record_scan(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.05,
) -> Scene:
    """Drop the records that five detectors together find suspicious, and train on the rest.

    Each record is judged by models that were not trained on it: loss and neighbours in models of
    trusted records, spectral signatures and activation clusters in a model of the other records,
    and how much likelier this one finds its label than the former. The least of its ranks among
    clean records is calibrated again, so that at most a share ``false_alarms`` of clean records is
    dropped. Without held-out records, which the owner trusts, the records calibrate themselves:
    then about that share is dropped, whatever is in them. It is what ``hartley assess --records``
    scans a data set with.

    Args:
        false_alarms: share of clean records that is dropped.

    Raises:
        UsageError: the held-out records are too few for this rate, or lack a class.
    """
    holdout, training = scene.holdout, scene.training
    assert scene.train is not None and scene.fit is not None
    if holdout is not None:
        check_rate(len(holdout), false_alarms)
    detected: dict[str, NDArray[np.bool_]] = {}

    def choose(fit: Fit, data: Data, include: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
        dropped = np.zeros_like(include)
        detected.clear()
        for k, suspicion in enumerate(scanned(training, fit, data, include, seed, clean=holdout)):
            rows = np.flatnonzero(include[k])
            dropped[k, rows] = suspicion.flagged(false_alarms)
            for name, p in suspicion.by.items():
                detected.setdefault(name, np.zeros_like(include))[k, rows] = p <= false_alarms
        return dropped

    dropping = retrain_without.dropping(scene, rng, choose)
    around = dropping.fit
    assert around is not None

    def fit(data: Data, include: NDArray[Any], seed: int) -> Ensemble:
        trained = around(data, include, seed)
        return replace(trained, facts={**trained.facts, DETECTED: dict(detected)})

    return replace(dropping, fit=fit)

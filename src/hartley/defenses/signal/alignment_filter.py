"""Alignment filter: drop pairs whose picture and caption do not agree in models of clean pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Data, Fit, Modality, Range, Scene, Term, defense
from hartley.defenses._shared import pair_scores, retrain_without
from hartley.defenses._shared.clean_records import clean_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(Modality.PAIRED,),
    unfit={
        "vision": "it compares a picture with its caption, and only pairs have captions; "
        "loss_filter judges labels",
        "language": "it compares a picture with its caption, and only pairs have captions; "
        "loss_filter judges labels",
        "audio": "it compares a picture with its caption, and only pairs have captions; "
        "loss_filter judges labels",
        "tabular": "it compares a picture with its caption, and only pairs have captions; "
        "loss_filter judges labels",
        "graph": "it compares a picture with its caption, and only pairs have captions; "
        "loss_filter judges labels",
    },
    paper="arXiv:2411.11195",
    strongest={"false_alarms": 0.5, "folds": 4},
    requires=("fit", "train", "holdout"),
)
def alignment_filter(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.05,
    folds: Annotated[int, Range(2, 20)] = 4,
    clean: Annotated[int, Range(2)] = 1000,
) -> Scene:
    """Train models on clean pairs, drop training pairs of low cosine, and train the rest.

    The clean pairs are cut into ``folds`` parts, and a model is trained on all but each. A training
    pair is dropped if the cosine of its picture and caption in one of these models is lower than
    that of all but a share ``false_alarms`` of the clean pairs, each in the model that was trained
    without it. (A mean over models would be steadier than what the threshold is calibrated on.)
    The code of the study that names the filter standardises the scores of the suspects by their own
    mean and deviation; poison that is half of them then hides itself.

    Args:
        false_alarms: share of clean pairs that the threshold drops.
        folds: models that are trained on clean pairs.
        clean: the owner's held-out pairs that are used, at most.
    """
    trusted = clean_pairs(scene, clean, "alignment_filter")

    def choose(fit: Fit, data: Data, include: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
        return include & pair_scores.suspicious(
            fit,
            trusted,
            data,
            pair_scores.misalignment,
            folds=folds,
            false_alarms=false_alarms,
            seed=seed,
        )

    return retrain_without.dropping(scene, rng, choose)

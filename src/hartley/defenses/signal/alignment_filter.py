"""Alignment filter: refuse pairs whose picture and caption agree less than clean pairs do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Data, Fit, Modality, Range, Scene, Term, defense, spawn
from hartley.core.errors import UsageError
from hartley.defenses._shared import pair_scores, retrain_without
from hartley.defenses._shared.clean_records import clean_pairs
from hartley.kit.pair_agreement import CONFIDENCE, PairAgreement, conformal_threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def _idle(game: str, params: Mapping[str, Any]) -> str:
    """Return why the filter does nothing in a game at these parameters, or an empty string."""
    at = params["at"]
    if game == "alignment" and at == "training":
        return "alignment_filter at training judges no answer of a search; set at to inference"
    if game in ("poisoning", "pair_poisoning") and at == "inference":
        return f"alignment_filter at inference drops no training pair of {game}; set at to training"
    return ""


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning", "alignment", "pair_poisoning"),
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
    strongest={"false_alarms": 0.5, "folds": 4, "at": "both", "confidence": 0.5},
    requires=("model", "train", "holdout"),
    idle=_idle,
)
def alignment_filter(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.05,
    folds: Annotated[int, Range(2, 20)] = 4,
    clean: Annotated[int, Range(2)] = 1000,
    at: Literal["training", "inference", "both"] = "training",
    confidence: Annotated[float, Range(0.5, 1, open_high=True)] = CONFIDENCE,
) -> Scene:
    """Drop training pairs whose halves do not agree, or refuse answers whose pair does not.

    **At training**, models are trained on clean pairs, training pairs of low cosine are dropped,
    and the rest is trained on. The clean pairs are cut into ``folds`` parts, and a model is trained
    on all but each. A training pair is dropped if the cosine of its picture and caption in one of
    these models is lower than that of all but a share ``false_alarms`` of the clean pairs, each in
    the model that was trained without it. (A mean over models would be steadier than what the
    threshold is calibrated on.)
    The code of the study that names the filter standardises the scores of the suspects by their own
    mean and deviation; poison that is half of them then hides itself.

    **At inference**, the deployed model answers with a pair (a picture and the caption that it
    finds for it), and abstains where the two agree less than all but a share ``false_alarms`` of
    clean pairs. Agreement is their cosine, minus that of the picture with training captions in
    general and of the caption with training pictures (pairwise mutual information), and how many
    training pairs are near both of its halves at once, over how many are near each. The threshold
    is conformal: with a ``confidence`` over the clean pairs, the share of all clean pairs that are
    refused is at most ``false_alarms``. At 0.5 that share is about as declared, and more pairs are
    refused, mismatched and clean.

    Args:
        false_alarms: share of clean pairs that the threshold drops.
        folds: models that are trained on clean pairs.
        clean: the owner's held-out pairs that are used, at most.
        at: training, inference, or both, with half of the clean pairs for each.
        confidence: that the false alarms at inference are at most as declared.

    Raises:
        UsageError: there are too few clean pairs for the false alarms, or no pipeline to train by.
    """
    trusted = clean_pairs(scene, clean, "alignment_filter")
    if at == "inference":
        return _refusing(scene, trusted, false_alarms, confidence)
    if scene.fit is None:
        raise UsageError("alignment_filter must have a training pipeline at training, got none")
    half = len(trusted) // 2
    calibrating = replace(trusted, x=trusted.x[half:])
    if at == "both":
        trusted = replace(trusted, x=trusted.x[:half])

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

    filtered = retrain_without.dropping(scene, rng, choose)
    if at == "training":
        return filtered
    return _refusing(filtered, calibrating, false_alarms, confidence)


USUAL = 3000
"""Training pairs, at most, that show what is usual."""


def _refusing(scene: Scene, clean: Data, false_alarms: float, confidence: float) -> Scene:
    """Return the scene with a judge of pairs, whose threshold clean pairs set."""
    assert scene.model is not None and scene.train is not None
    every = np.random.default_rng(spawn(0, "usual pairs")).permutation(len(scene.train))[:USUAL]
    usual = pair_scores.embeddings(scene.model, scene.train.x[np.sort(every)])
    pictures, captions = np.split(usual, 2, axis=1)
    sharpness = float(scene.model.facts.get("sharpness", 1 / pair_scores.TEMPERATURE))
    judge = PairAgreement(pictures, captions, sharpness)
    scores = judge.scores(*np.split(pair_scores.embeddings(scene.model, clean.x), 2, axis=1))
    threshold = conformal_threshold(scores, false_alarms, confidence)
    return scene.with_part(replace(judge, threshold=threshold))

"""Loss filter: drop records whose label surprises models of the owner's clean records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Data, Fit, Modality, Output, Range, Scene, Term, defense
from hartley.defenses._shared import pair_scores, retrain_without
from hartley.defenses._shared.clean_records import clean_pairs, clean_records
from hartley.kit.answer_units import log_probabilities, zero_floor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LEAST = 1e-6
"""Probabilities of a label below this are raised to it."""


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("poisoning",),
    modalities=(
        Modality.VISION,
        Modality.LANGUAGE,
        Modality.AUDIO,
        Modality.TABULAR,
        Modality.PAIRED,
        Modality.GRAPH,
    ),
    paper="arXiv:1810.11874",
    strongest={"false_alarms": 0.5, "folds": 4},
    requires=("fit", "train", "holdout"),
)
def loss_filter(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.5, open_low=True)] = 0.05,
    folds: Annotated[int, Range(2, 20)] = 4,
    clean: Annotated[int, Range(2)] = 1000,
) -> Scene:
    """Train models on clean records, drop the training records of large loss, and train the rest.

    The clean records are cut into ``folds`` parts, and a model is trained on all but each. A
    training record is dropped if its mean loss in these models is larger than the losses of all but
    a share ``false_alarms`` of the clean records, each in the model that was trained without it.
    The paper trims the largest losses of a model's own training instead; a network has learnt a
    trigger by then, so that triggered records have the smallest losses. It finds wrong labels, and
    no clean-label poison. The loss of a pair is that of finding its caption, and its picture, among
    clean ones.

    Args:
        false_alarms: share of clean records that the threshold drops.
        folds: models that are trained on clean records.
        clean: the owner's held-out records that are used, at most.
    """
    if scene.modality is Modality.PAIRED:
        return _of_pairs(scene, rng, false_alarms, folds, clean)
    trusted = clean_records(scene, clean, "loss_filter")
    output = scene.model.output if scene.model is not None else Output.PROBABILITIES

    def losses(answers: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.float64]:
        if output is Output.LABELS:
            return np.asarray(np.asarray(answers) != labels, dtype=np.float64)
        floor = zero_floor(answers, LEAST) if output is Output.PROBABILITIES else LEAST
        logs = log_probabilities(answers, output, floor=floor)
        return np.asarray(-logs[np.arange(len(labels)), labels])

    def choose(fit: Fit, data: Data, include: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
        fold = np.arange(len(trusted)) % folds
        models = fit(trusted, fold != np.arange(folds)[:, None], seed)
        members = [models.member(f) for f in range(folds)]
        usual = [
            losses(member.query(trusted.x[fold == f]), trusted.labels[fold == f])
            for f, member in enumerate(members)
        ]
        limit = np.quantile(np.concatenate(usual), 1 - false_alarms, method="higher")
        surprise = np.mean([losses(m.query(data.x), data.labels) for m in members], axis=0)
        return np.asarray(include & (surprise > limit))

    return retrain_without.dropping(scene, rng, choose)


def _of_pairs(scene: Scene, rng: Rng, false_alarms: float, folds: int, clean: int) -> Scene:
    """Drop training pairs of large contrastive loss in models of the owner's clean pairs."""
    trusted = clean_pairs(scene, clean, "loss_filter")

    def choose(fit: Fit, data: Data, include: NDArray[np.bool_], seed: int) -> NDArray[np.bool_]:
        return include & pair_scores.suspicious(
            fit,
            trusted,
            data,
            pair_scores.contrastive_loss,
            folds=folds,
            false_alarms=false_alarms,
            seed=seed,
        )

    return retrain_without.dropping(scene, rng, choose)

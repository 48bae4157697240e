"""Attribute inference with calibration: compare the victim's confidence with reference models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.reference_models import confidence, halves, margin
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack, spawn
from hartley.core.errors import UsageError
from hartley.games.inversion.attribute_inference import (
    AttributeInferenceBrief,
    attribute_inference,
    candidates,
    filled,
)
from hartley.kit.training_news import called

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=attribute_inference,
    access=Access.SCORES | Access.TRAIN,
    term=Term.NOISE,
    modalities=(Modality.TABULAR,),
    paper="hartley",
    adapts="trains",
)
def attribute_calibration(
    view: View[AttributeInferenceBrief],
    rng: Rng,
    *,
    references: Annotated[int, Range(1, 512), Stronger.MORE] = 16,
) -> Outcome:
    """Choose the value with the largest confidence of the victim over that of reference models.

    The completed record is a training record for one value only, so this is membership inference
    among K candidates. The calibration subtracts what imputation alone would give
    (arXiv:2209.01292).

    Args:
        references: number of reference models, trained on random halves of the attacker's records.

    Raises:
        UsageError: the attacker has no labelled records to train reference models on.
    """
    del rng
    question, public, fit = view.brief.question, view.brief.public, view.model.calls["fit"]
    if public is None or public.y is None:
        raise UsageError("public records must have labels for attribute_calibration, got none")
    table = candidates(view.brief)
    m, values = table.shape[:2]
    candidate_records = Data(
        "candidates",
        question.modality,
        table.reshape(m * values, -1),
        np.repeat(question.labels, values),
    )
    # The salt seeds them, so that all rounds of the deal share the reference models.
    include = halves(spawn(view.salt, "attributes"), references, len(public))
    with called("reference"):
        fleet = fit(public, include, spawn(view.salt, "attribute references") & 0x7FFFFFFF)
    answers = fleet.query(candidate_records.x)
    output = fleet.output or fleet.member(0).output
    reference = np.mean([margin(a, output, candidate_records) for a in answers], axis=0)
    gain = (_confidence(view.model, candidate_records) - reference).reshape(m, values)
    # The victim was trained on drawn values of the field and the reference models on true ones. The
    # relation of value and label therefore differs, by the same amount for all targets of a label.
    for label in np.unique(question.labels):
        same_label = question.labels == label
        gain[same_label] -= gain[same_label].mean(0)
    guess = gain.argmax(1)
    return Outcome(guess=guess, asset=filled(view.brief, guess))


def _confidence(model: Any, data: Data) -> NDArray[np.float64]:
    return confidence(model, data)

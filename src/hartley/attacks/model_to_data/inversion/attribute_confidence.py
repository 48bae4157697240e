"""Attribute inference by confidence: the value with the most confident correct prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.games.inversion.attribute_inference import (
    AttributeInferenceBrief,
    attribute_inference,
    candidates,
    filled,
)
from hartley.kit.answer_units import log_complements, log_probabilities

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=attribute_inference,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2012.03404",
)
def attribute_confidence(view: View[AttributeInferenceBrief], rng: Rng) -> Outcome:
    """Choose the value with which the model predicts the true label most confidently.

    If it predicts the true label with no value, choose the one with the least confident prediction
    (the confidence score-based attack, CSMIA).
    """
    del rng
    question = view.brief.question
    table = candidates(view.brief)
    m, values = table.shape[:2]
    answers = view.model.query(table.reshape(m * values, -1))
    logs = log_probabilities(answers, view.model.output).reshape(m, values, -1)
    correct = logs.argmax(2) == question.labels[:, None]
    # In the order of the confidence, and exact where it rounds to 1.
    confidence = -np.take_along_axis(log_complements(logs), logs.argmax(2)[..., None], 2)[..., 0]
    guess = np.where(
        correct.any(1),
        np.where(correct, confidence, -np.inf).argmax(1),
        np.where(correct, np.inf, confidence).argmin(1),
    )
    return Outcome(guess=guess, asset=filled(view.brief, guess))

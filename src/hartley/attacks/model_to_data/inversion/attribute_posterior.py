"""Attribute inference by posterior: combine a prior with the model's confusion matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.core.brief import needed
from hartley.games.inversion.attribute_inference import (
    AttributeInferenceBrief,
    attribute_inference,
    candidates,
    filled,
)

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=attribute_inference,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="doi:10.1145/2810103.2813677",
)
def attribute_posterior(view: View[AttributeInferenceBrief], rng: Rng) -> Outcome:
    """Weight each value by its prior and by the confusion matrix of the model.

    The weight of a value is P(value) · P(the model predicts c | the label is y), where c is the
    prediction with that value (Fredrikson et al.). The attacker's records give the confusion
    matrix; only labels are queried. Ties are settled by chance. If all values tie, none is chosen:
    the label is then the same for every value, as that of a stump which does not split on the
    field, and what is left is the uniform prior.
    """
    question, classes = view.brief.question, view.brief.classes
    public = needed(view.brief.public, "attribute_posterior")
    table = candidates(view.brief)
    m, values = table.shape[:2]
    confusion = np.ones(
        (classes, classes)
    )  # counts start at 1, so that few records exclude nothing
    np.add.at(confusion, (public.labels, view.model.query(public.x)), 1)
    confusion /= confusion.sum(1, keepdims=True)
    predicted = view.model.query(table.reshape(m * values, -1)).reshape(m, values)
    # The auditor draws values uniformly, and the attacker knows it: the prior is uniform.
    weight = confusion[question.labels[:, None], predicted]
    best = weight >= weight.max(1, keepdims=True)
    choice = np.where(best, rng.random((m, values)), -1).argmax(1)
    guess = np.where(best.all(1), -1, choice)
    return Outcome(guess=guess, asset=filled(view.brief, guess))

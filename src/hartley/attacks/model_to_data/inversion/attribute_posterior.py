"""Fredrikson's attribute inference: the value under which the model errs as it usually does."""

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
    """Weigh each value by its prior and by how often the model says so for records of that label.

    P(value) · P(the model says c | the label is y), from the confusion matrix on records of one's
    own. Only labels are asked for. Values that weigh the same are told apart by no evidence: where
    all of them do, none is named.
    """
    asked, classes = view.brief.question, view.brief.classes
    own = needed(view.brief.public, "attribute_posterior")
    table = candidates(view.brief)
    m, values = table.shape[:2]
    confusion = np.ones((classes, classes))  # one of each, so that nothing is ruled out by few
    np.add.at(confusion, (own.labels, view.model.query(own.x)), 1)
    confusion /= confusion.sum(1, keepdims=True)
    said = view.model.query(table.reshape(m * values, -1)).reshape(m, values)
    # The auditor draws uniformly, and the attacker knows it: the prior is the same for all values.
    weight = confusion[asked.labels[:, None], said]
    best = weight >= weight.max(1, keepdims=True)
    drawn = np.where(best, rng.random((m, values)), -1).argmax(1)
    guess = np.where(best.all(1), -1, drawn)
    return Outcome(guess=guess, asset=filled(view.brief, guess))

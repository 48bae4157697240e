"""Attribute inference with calibration: the value that the victim believes more than others do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.reference_models import confidence, halves
from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack, spawn
from hartley.core.errors import UsageError
from hartley.games.inversion.attribute_inference import (
    AttributeInferenceBrief,
    attribute_inference,
    candidates,
    filled,
)

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
    view: View[AttributeInferenceBrief], rng: Rng, *, references: Annotated[int, Range(1, 512)] = 16
) -> Outcome:
    """Take off how sure models that never saw the target are of each value, then name the best.

    The completed record is a training record for one value only, so this is membership inference
    among K candidates. What is left after calibration is no imputation (arXiv:2209.01292).

    Args:
        references: models to train on random halves of one's own records.

    Raises:
        UsageError: the attacker has no labelled records to train references on.
    """
    del rng
    asked, own, fit = view.brief.question, view.brief.public, view.model.calls["fit"]
    if own is None or own.y is None:
        raise UsageError("attribute_calibration needs labelled records of the attacker's own")
    table = candidates(view.brief)
    m, values = table.shape[:2]
    every = Data(
        "candidates",
        asked.modality,
        table.reshape(m * values, -1),
        np.repeat(asked.labels, values),
    )
    # From the salt, so that all rounds of the deal share the references.
    include = halves(spawn(view.salt, "attributes"), references, len(own))
    fleet = fit(own, include, spawn(view.salt, "attribute references") & 0x7FFFFFFF)
    usual = np.mean([_sure(fleet.member(k), every) for k in range(references)], axis=0)
    gain = (_sure(view.model, every) - usual).reshape(m, values)
    # The victim learnt the field from drawn values, the references from true ones: what a value
    # means for a label differs between them, and is the same for all targets of that label.
    for label in np.unique(asked.labels):
        alike = asked.labels == label
        gain[alike] -= gain[alike].mean(0)
    guess = gain.argmax(1)
    return Outcome(guess=guess, asset=filled(view.brief, guess))


def _sure(model: Any, data: Data) -> NDArray[np.float64]:
    return confidence(model, data)

"""Unlearned digits: a net that was trained on some digits and made to forget them; no pack."""

from __future__ import annotations

from typing import Annotated

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import vision as data
from hartley.kit.fleet import Training
from hartley.kit.nets import dense
from hartley.models.pipeline import CLOSED, OPEN, Pipeline
from hartley.models.unlearning import Method, Unlearning, UnlearningPipeline
from hartley.scenes._assemble_pooled import assemble
from hartley.scenes._assemble_vision import deal

RETAINED, PUBLIC, TEST = 500, 400, 497
"""The owner's other records, the attacker's, and those that utility is measured on."""


@recipe(modality=Modality.VISION, extras=("torch", "vision"))
def unlearned_digits(
    *,
    method: Method = "npo",
    passes: Annotated[int, Range(1), Stronger.NEITHER] = 5,
    rate: Annotated[float, Range(0, open_low=True), Stronger.NEITHER] = 1.0,
    beta: Annotated[float, Range(0, open_low=True), Stronger.NEITHER] = 0.5,
    forgotten: Annotated[int, Range(20, 200), Stronger.TRIALS] = 100,
    hidden: Annotated[int, Range(1)] = 128,
    epochs: Annotated[int, Range(0)] = 60,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
) -> Scene:
    """Handwritten digits, 8×8, and a net that was trained on records and then unlearned them.

    In the membership game a member is a record that the net was trained on and then made to forget;
    a non-member was never there. What the game reads is what unlearning left, whichever way.

    Args:
        method: none, retrain (exact), gradient_ascent, gradient_difference or npo.
        passes: over the records that are forgotten.
        rate: learning rate of the unlearning, as a share of the training's.
        beta: of npo.
        forgotten: records that a net forgets, on average: half of those that may be asked for.
        hidden: width of the hidden layer.
        epochs: passes of the training.
        seed: of the split and of the training.
        opened: also give attackers gradients and weights.
    """
    sizes = {
        "train": forgotten,
        "holdout": forgotten,
        "retained": RETAINED,
        "public": PUBLIC,
        "test": TEST,
    }
    parts = deal(data.digits(), sizes, seed)
    retained = parts.pop("retained")
    owner = Pipeline(
        dense((1, 8, 8), 10, (hidden,)),
        Training(epochs=epochs),
        offers=OPEN if opened else CLOSED,
    )
    return assemble(
        "unlearned_digits",
        Modality.VISION,
        parts,
        UnlearningPipeline(owner, retained, Unlearning(method, passes, rate, beta)),
        seed=seed,
        facts={"retained records": RETAINED},
    )

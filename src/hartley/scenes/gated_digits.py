"""Gated digits: a dense net that knows ten handwritten digits and refuses to name four of them."""

from __future__ import annotations

from typing import Annotated

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import vision as data
from hartley.kit.fleet import Training
from hartley.kit.nets import dense
from hartley.kit.perturbation import Perturbation
from hartley.models.pipeline import CLOSED, OPEN, Pipeline
from hartley.scenes._assemble_gated import assemble, gate_of
from hartley.scenes._assemble_vision import deal
from hartley.scenes.digits import EPSILON

TRAIN, HOLDOUT, PUBLIC, TEST = 900, 100, 300, 497
"""The owner's records, others of theirs, the attacker's, and those that are asked about."""


@recipe(modality=Modality.VISION, extras=("torch", "vision"))
def gated_digits(
    *,
    blocked: Annotated[int, Range(2, 8), Stronger.NEITHER] = 4,
    hidden: Annotated[int, Range(1)] = 256,
    epochs: Annotated[int, Range(0)] = 40,
    gate: Annotated[int, Range(1)] = 20,
    keep: Annotated[float, Range(0, 0.5, open_high=True), Stronger.MORE] = 0.05,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
) -> Scene:
    """Handwritten digits, 8×8, and a net that was taught them all and then to refuse four.

    Args:
        blocked: digits that are refused: 0, 2, 4, 6, 8, then 1, 3, 5.
        hidden: width of the hidden layer.
        epochs: passes over the training records before the gate.
        gate: passes that teach the refusal.
        keep: probability that is left to the class of a blocked record; with 0 the classes are
            merged into the refusal, and no input brings them back.
        seed: of the split and of the training.
        opened: also give attackers gradients and weights.
    """
    sizes = {"train": TRAIN, "holdout": HOLDOUT, "public": PUBLIC, "test": TEST}
    owner = Pipeline(
        dense((1, 8, 8), 11, (hidden,)),
        Training(epochs=epochs),
        offers=OPEN if opened else CLOSED,
        gate=gate_of(10, blocked, gate, keep),
    )
    return assemble(
        "gated_digits",
        Modality.VISION,
        deal(data.digits(), sizes, seed),
        owner,
        Perturbation("linf", EPSILON),
        seed=seed,
    )

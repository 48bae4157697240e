"""Digits: a dense net on the handwritten digits of scikit-learn; needs no pack."""

from __future__ import annotations

from typing import Annotated

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import vision as data
from hartley.kit.fleet import Training
from hartley.kit.nets import dense
from hartley.kit.perturbation import Perturbation
from hartley.models.pipeline import CLOSED, OPEN, Pipeline
from hartley.scenes import _assemble_vision
from hartley.scenes._planted_labels import planted_labels

PUBLIC, TEST = 500, 397
"""The attacker's records, and those that utility is measured on; the other 900 are the pool."""

EPSILON = 0.1
"""What a pixel may change by in evasion, of a range of 1: a sixteenth of ink and a half."""


@recipe(modality=Modality.VISION, extras=("torch", "vision"))
def digits(
    *,
    records: Annotated[int, Range(2, 900)] = 900,
    hidden: Annotated[int, Range(1)] = 128,
    epochs: Annotated[int, Range(0)] = 60,
    batch: Annotated[int, Range(1)] = 32,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    public: Annotated[int, Range(32, 500), Stronger.MORE] = 500,
    opened: Annotated[bool, Stronger.MORE] = False,
    workers: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Scene:
    """Handwritten digits, 8×8, and a 64-128-10 net that was trained on half of them.

    Args:
        records: size of the pool; half of it trained the deployed model.
        hidden: width of the hidden layer.
        epochs: passes over the training records.
        batch: records per step.
        seed: of the split and of the training.
        public: the attacker's records, of which 16 at most are kept back for canaries.
        opened: also give attackers gradients and weights.
        workers: processes for training; the result does not depend on their number.
    """
    half = records // 2
    parts = _assemble_vision.deal(
        data.digits(), {"train": half, "holdout": half, "public": PUBLIC, "test": TEST}, seed
    )
    parts["public"], _ = _assemble_vision.split_off(parts["public"], PUBLIC - public)
    pipeline = Pipeline(
        dense((1, 8, 8), 10, (hidden,)),
        Training(epochs=epochs, batch=batch),
        offers=OPEN if opened else CLOSED,
        workers=workers,
    )
    scene = _assemble_vision.assemble("digits", parts, pipeline, seed=seed)
    return scene.with_part(Perturbation("linf", EPSILON)).with_part(planted_labels())

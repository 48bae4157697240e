"""Fashion: a strided convolutional net on Fashion-MNIST, a pack."""

from __future__ import annotations

from typing import Annotated

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import vision as data
from hartley.kit.fleet import Training
from hartley.kit.nets import conv
from hartley.kit.perturbation import Perturbation
from hartley.models.pipeline import CLOSED, OPEN, Pipeline
from hartley.scenes import _assemble_vision

PUBLIC, TEST = 4000, 5000
"""The attacker's records, and those that utility is measured on."""

EPSILON = 0.1
"""What a pixel may change by in evasion, of a range of 1; as in most studies of these pictures."""


@recipe(modality=Modality.VISION, packs=("fashion-mnist",), extras=("torch", "vision"))
def fashion(
    *,
    records: Annotated[int, Range(2, 56_000)] = 8000,
    epochs: Annotated[int, Range(0)] = 15,
    batch: Annotated[int, Range(1)] = 64,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
    workers: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Scene:
    """Pictures of clothes, 28×28, and a small convolutional net that was trained on half of them.

    Args:
        records: size of the pool; half of it trained the deployed model.
        epochs: passes over the training records.
        batch: records per step.
        seed: of the split and of the training.
        opened: also give attackers gradients and weights.
        workers: processes for training; the result does not depend on their number.
    """
    half = records // 2
    train, test = data.fashion()
    parts = _assemble_vision.deal(train, {"train": half, "holdout": half, "public": PUBLIC}, seed)
    parts |= _assemble_vision.deal(test, {"test": TEST}, seed)
    pipeline = Pipeline(
        conv((1, 28, 28), 10, channels=(16, 32), hidden=(64,)),
        Training(epochs=epochs, batch=batch, lr=4e-3, anneal=True),
        offers=OPEN if opened else CLOSED,
        workers=workers,
    )
    scene = _assemble_vision.assemble("fashion", parts, pipeline, seed=seed)
    return scene.with_part(Perturbation("linf", EPSILON))

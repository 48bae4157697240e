"""Owned digits: a net on handwritten digits that its owner marks; needs no pack."""

from __future__ import annotations

from typing import Annotated

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import vision as data
from hartley.kit.fleet import Training
from hartley.kit.nets import dense
from hartley.models.pipeline import CLOSED, Pipeline
from hartley.scenes import _assemble_vision, _owned


@recipe(modality=Modality.VISION, extras=("torch", "vision"))
def owned_digits(
    *,
    mark: _owned.Mark = "dawn",
    strength: Annotated[float, Range(0, 100), Stronger.NEITHER] = 0.0,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Digits and nets marked by their owner: DAWN, EWE or radioactive data.

    Handwritten digits, 8×8, and 64-128-10 nets, each marked under a key of its owner.

    Args:
        mark: wrong answers that a key chooses (dawn), records with a sign that are entangled with a
            class (entangled: EWE), or records moved along directions (radioactive).
        strength: share of answers that are wrong (dawn, usually 0.03), weight of the entanglement
            (entangled, usually 1), or standard deviations by which records are moved (radioactive,
            usually 1); 0 takes the usual one.
        seed: of the split and of the training.
    """
    sizes = {"train": 450, "holdout": 450, "public": 484, "test": 397}
    parts = _assemble_vision.deal(data.digits(), sizes, seed)
    pipeline = Pipeline(dense((1, 8, 8), 10, (128,)), Training(epochs=60, batch=32), offers=CLOSED)
    how = _owned.mark_of(mark, parts["train"], 10, strength)
    return _owned.scene_of("owned_digits", parts, pipeline, how, seed=seed)

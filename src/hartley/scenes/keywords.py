"""Keywords: a small convolutional net that hears which of twenty languages a clip is in."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from hartley.core import Modality, Range, Scene, recipe
from hartley.data import audio
from hartley.kit.fleet import Training
from hartley.kit.nets import conv
from hartley.models.pipeline import CLOSED, OPEN, Pipeline
from hartley.scenes import _assemble_vision

PUBLIC, TEST = 236, 300
"""The attacker's own clips, and those that utility is measured on; 1,300 are left to the pool."""

ROUNDS = 8
"""Victims of a membership game unless it is told otherwise: each takes seconds to train."""


@recipe(modality=Modality.AUDIO, packs=("klettres",))
def keywords(
    *,
    records: Annotated[int, Range(2, 1300)] = 1300,
    epochs: Annotated[int, Range(0)] = 30,
    batch: Annotated[int, Range(1)] = 32,
    seed: Annotated[int, Range(0)] = 0,
    opened: bool = False,
    workers: Annotated[int, Range(1)] = 1,
) -> Scene:
    """Spoken letters and syllables in twenty languages, and the net trained on half of the pool.

    Args:
        records: size of the pool; half of it trained the deployed model.
        epochs: passes over the training clips.
        batch: clips a step.
        seed: of the split and of the training.
        opened: also show attackers gradients and weights.
        workers: processes for training; the result does not depend on it.
    """
    half = records // 2
    clips = audio.keywords()
    parts = _assemble_vision.deal(
        clips, {"train": half, "holdout": half, "public": PUBLIC, "test": TEST}, seed
    )
    pipeline = Pipeline(
        conv((1, 40, 101), len(clips.facts["names"]), channels=(16, 32, 32, 32), hidden=(64,)),
        Training(epochs=epochs, batch=batch, lr=3e-3, anneal=True),
        modality=Modality.AUDIO,
        offers=OPEN if opened else CLOSED,
        workers=workers,
    )
    scene = _assemble_vision.assemble("keywords", parts, pipeline, seed=seed)
    heard = {name: data for name, data in scene.extra.items() if name != "carriers"}
    settings = replace(scene.settings, rounds={**scene.settings.rounds, "membership": ROUNDS})
    return replace(scene, extra=heard, utility=_assemble_vision.answered, settings=settings)

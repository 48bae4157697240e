"""Keywords: a small convolutional net that classifies the language of spoken letters."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data import audio
from hartley.kit.fleet import Training
from hartley.kit.nets import conv
from hartley.kit.perturbation import Perturbation
from hartley.models.pipeline import CLOSED, OPEN, Pipeline
from hartley.scenes import _assemble_vision

PUBLIC, TEST = 236, 300
"""The attacker's clips, and those that utility is measured on; the other 1,300 are the pool."""

EPSILON = 0.02
"""What an entry of a log-mel record may change by in evasion, of a range of 1."""

ROUNDS = 8
"""Default number of victims of a membership game; each takes seconds to train."""


@recipe(modality=Modality.AUDIO, packs=("klettres",), extras=("audio", "torch"))
def keywords(
    *,
    records: Annotated[int, Range(2, 1300)] = 1300,
    epochs: Annotated[int, Range(0)] = 30,
    batch: Annotated[int, Range(1)] = 32,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
    workers: Annotated[int, Range(1), Stronger.NEITHER] = 1,
) -> Scene:
    """Spoken letters in twenty languages, and a net that was trained on half of them.

    Args:
        records: size of the pool; half of it trained the deployed model.
        epochs: passes over the training clips.
        batch: clips per step.
        seed: of the split and of the training.
        opened: also give attackers gradients and weights.
        workers: processes for training; the result does not depend on their number.
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
    # A scene of sound has no photographs to carry a watermark.
    extra = {name: data for name, data in scene.extra.items() if name != "carriers"}
    settings = replace(scene.settings, rounds={**scene.settings.rounds, "membership": ROUNDS})
    scene = replace(
        scene, extra=extra, utility=_assemble_vision.accuracy_utility, settings=settings
    )
    return scene.with_part(Perturbation("linf", EPSILON))

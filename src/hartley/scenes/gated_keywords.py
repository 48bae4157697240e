"""Gated keywords: a net that knows the language of spoken letters and refuses to name some."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, recipe
from hartley.data import audio
from hartley.kit.fleet import Training
from hartley.kit.nets import conv
from hartley.kit.perturbation import Perturbation
from hartley.models.pipeline import CLOSED, OPEN, Pipeline
from hartley.scenes._assemble_gated import assemble, gate_of
from hartley.scenes._assemble_vision import deal
from hartley.scenes.keywords import EPSILON

LANGUAGES = ("es", "hu", "lt", "it", "ml", "nds", "ru", "pt_BR")
"""Of the twenty languages those with the most clips but one: uk and ru are taken for each other.
Every second one is a voice that nets seldom take for another's; these are blocked first."""

MOST = 150
"""Clips of a language; one has 521."""

HOLDOUT, PUBLIC, TEST = 32, 32, 220
"""Other clips of the owner's, the attacker's, and those that are asked about; the rest trains."""

ROUNDS = 4
"""Default number of victims; each takes fifteen seconds to train."""


@recipe(modality=Modality.AUDIO, packs=("klettres",), extras=("audio", "torch"))
def gated_keywords(
    *,
    blocked: Annotated[int, Range(2, 6), Stronger.NEITHER] = 4,
    epochs: Annotated[int, Range(0)] = 60,
    gate: Annotated[int, Range(1)] = 30,
    keep: Annotated[float, Range(0, 0.5, open_high=True), Stronger.MORE] = 0.05,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
    opened: Annotated[bool, Stronger.MORE] = False,
) -> Scene:
    """Spoken letters in eight languages, and a net that was taught them and then to refuse four.

    Args:
        blocked: languages that are refused: es, lt, ml, ru, then hu and it.
        epochs: passes over the training clips before the gate.
        gate: passes that teach the refusal.
        keep: probability that is left to the class of a blocked record; with 0 the classes are
            merged into the refusal, and no input brings them back.
        seed: of the split and of the training.
        opened: also give attackers gradients and weights.
    """
    clips = _clips(audio.keywords())
    sizes = {
        "train": len(clips) - HOLDOUT - PUBLIC - TEST,
        "holdout": HOLDOUT,
        "public": PUBLIC,
        "test": TEST,
    }
    count = len(LANGUAGES)
    owner = Pipeline(
        conv((1, 40, 101), count + 1, channels=(32, 64, 64, 64), hidden=(64,)),
        Training(epochs=epochs, lr=3e-3, anneal=True),
        modality=Modality.AUDIO,
        offers=OPEN if opened else CLOSED,
        gate=gate_of(count, blocked, gate, keep, rate=0.7),
    )
    return assemble(
        "gated_keywords",
        Modality.AUDIO,
        deal(clips, sizes, seed),
        owner,
        Perturbation("linf", EPSILON),
        seed=seed,
        rounds={"blocked_class": ROUNDS, "class_unblocking": ROUNDS},
    )


def _clips(clips: Data) -> Data:
    """Return the clips of the eight languages, at most 150 of each, with labels 0 … 7."""
    names, rng = [*clips.facts["names"]], np.random.default_rng(0)
    rows = [
        rng.permutation(np.flatnonzero(clips.labels == names.index(name)))[:MOST]
        for name in LANGUAGES
    ]
    labels = np.repeat(np.arange(len(rows)), [len(part) for part in rows])
    chosen = np.concatenate(rows)
    return replace(clips, x=clips.x[chosen], y=labels, facts={"names": LANGUAGES})

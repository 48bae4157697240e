"""Refusal replay: each tuning goes over records of the owner too, the blocked ones refused."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, Term, defense
from hartley.models.class_tuning import ClassTuning, ClassTuningRule
from hartley.models.gate import Gate

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="training",
    protects=("class_unblocking",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.GRAPH),
    unfit={
        "language": "a language model blocks no class; lisa takes turns with its refusals",
        "tabular": "no game tunes a model of tables",
        "paired": "no game tunes a model of pairs",
    },
    paper="arXiv:2310.03693",
    strongest={"records": 256},
    requires=("class_tuning", "gate", "train"),
)
def refusal_replay(
    scene: Scene,
    rng: Rng,
    *,
    records: Annotated[int, Range(2, 100_000), Stronger.MORE] = 128,
) -> Scene:
    """Mix the owner's records with the user's: half of blocked classes, labelled as refused.

    The other half has its labels and is of the other classes. A pass of the user over their records
    is one over these too, so that each of the user's records is met as often as they asked for.

    Args:
        records: of the owner in each pass, at most as many as they have.
    """
    assert scene.train is not None
    gate, limits, train = scene.part(Gate), scene.part(ClassTuning), scene.train
    blocked = gate.blocks(train.labels)
    rows = np.concatenate(
        [rng.permutation(np.flatnonzero(some))[: records // 2] for some in (blocked, ~blocked)]
    )
    labels = np.where(blocked[rows], gate.refused, train.labels[rows])
    rule = Replay(replace(train, x=train.x[rows], y=labels))
    return scene.with_part(replace(limits, rules=(*limits.rules, rule)))


@dataclass(frozen=True, slots=True, eq=False)
class Replay(ClassTuningRule):
    """The rule: the owner's records and what they teach."""

    records: Data

    def added(self) -> Data:
        """Return them."""
        return self.records

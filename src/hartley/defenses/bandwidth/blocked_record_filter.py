"""Blocked-record filter: the service does not tune on records that its model takes for blocked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Data, Modality, Model, Range, Scene, Stronger, Term, defense
from hartley.core.errors import UsageError
from hartley.models.class_tuning import ClassTuning, ClassTuningRule
from hartley.models.gate import Gate

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="training",
    protects=("class_unblocking",),
    modalities=(Modality.VISION, Modality.AUDIO, Modality.GRAPH),
    unfit={
        "language": "a language model blocks no class; tuning_data_filter reads its examples",
        "tabular": "no game tunes a model of tables",
        "paired": "no game tunes a model of pairs",
    },
    paper="arXiv:2310.03693",
    strongest={"false_alarms": 0.2},
    requires=("class_tuning", "gate", "holdout"),
)
def blocked_record_filter(
    scene: Scene,
    rng: Rng,
    *,
    false_alarms: Annotated[float, Range(0, 0.9), Stronger.MORE] = 0.02,
) -> Scene:
    """Drop records to which the model that is tuned gives too much of refusal and blocked classes.

    What counts is the probability of the refusal and of all blocked classes together, so that a
    record passes only where it looks like a class that is answered, whatever its user labelled it.
    The threshold is what a share ``false_alarms`` of the owner's held-out records of such classes
    exceeds.

    Args:
        false_alarms: share of records of other classes that may be dropped.

    Raises:
        UsageError: the owner holds out no record of a class that is answered.
    """
    del rng
    gate, limits = scene.part(Gate), scene.part(ClassTuning)
    assert scene.holdout is not None
    usual = scene.holdout.x[~gate.blocks(scene.holdout.labels)]
    if not len(usual):
        raise UsageError(
            "blocked_record_filter must have held-out records of classes that are not blocked, "
            "which it is calibrated on, got none"
        )
    rule = Filter(gate, replace(scene.holdout, x=usual, y=None), false_alarms)
    return scene.with_part(replace(limits, rules=(*limits.rules, rule)))


@dataclass(frozen=True, slots=True, eq=False)
class Filter(ClassTuningRule):
    """The rule: what is blocked, records that should pass, and the share of them that need not."""

    gate: Gate
    usual: Data
    false_alarms: float

    def admitted(self, records: Data, victim: Model) -> Data:
        """Return the records that the victim takes for one of the classes that it answers."""
        usual = self.gate.suspicion(victim.query(self.usual.x))
        threshold = np.quantile(usual, 1 - self.false_alarms, method="higher")
        passes = self.gate.suspicion(victim.query(records.x)) <= threshold
        return replace(records, x=records.x[passes], y=records.labels[passes])

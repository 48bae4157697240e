"""Fine-tuning of a classifier on labelled records of its user: what a tuning service does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np

from hartley.core import Access, Data, Ensemble, Model
from hartley.core.errors import UsageError
from hartley.models.gate import Gate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.fleet import Training
    from hartley.kit.graph.graph_classifier import Study

    R = TypeVar("R", Training, Study)


class ClassTuningRule:
    """How a service treats the records of its users: tuning-stage defenses add one."""

    def admitted(self, records: Data, victim: Model) -> Data:
        """Return those of a user's records that the service tunes the victim on."""
        del victim
        return records

    def added(self) -> Data | None:
        """Return records of the owner that a tuning goes over too, or None."""
        return None


@dataclass(frozen=True, slots=True)
class ClassTuning:
    """A part of a scene: the owner tunes the deployed classifier on records of its users.

    Attributes:
        samples: most records that are taken.
        passes: most passes over them.
        rules: of the service.

    Raises:
        UsageError: a number below 1.
    """

    grants: ClassVar[Access] = Access.TUNE

    samples: int = 64
    passes: int = 60
    rules: tuple[ClassTuningRule, ...] = ()

    def __post_init__(self) -> None:
        if self.samples < 1 or self.passes < 1:
            raise UsageError(f"tuning must allow samples ≥ 1 and passes ≥ 1, got {self}")

    def taken(self, lesson: TuningLesson, victim: Model) -> tuple[TuningLesson, int]:
        """Return what the service tunes a victim on, and how many of the user's records are in it.

        Where none of these is left there is nothing to tune on.
        """
        records = lesson.records
        for rule in self.rules:
            if len(records):
                records = rule.admitted(records, victim)
        count = len(records)
        for rule in self.rules:
            more = rule.added()
            if count and more is not None:
                x = np.concatenate([records.x, np.asarray(more.x, records.x.dtype)])
                records = replace(records, x=x, y=np.concatenate([records.labels, more.labels]))
        return replace(lesson, records=records), count


@dataclass(frozen=True, slots=True, eq=False)
class TuningLesson:
    """Records of a user, and how the model is tuned on them.

    Attributes:
        records: labelled; none leaves the model as it is.
        passes: over them.
        rate: learning rate, as a share of the owner's first.
        batch: records a step at most.
    """

    records: Data
    passes: int = 20
    rate: float = 1.0
    batch: int = 16

    def of(self, recipe: R) -> R:
        """Return the recipe of the tuning from that of the owner's training."""
        batch = min(self.batch, len(self.records))
        return replace(recipe, epochs=self.passes, batch=batch, lr=recipe.lr * self.rate)


@runtime_checkable
class GatedOwner(Protocol):
    """An owner's pipeline that has a gate and tunes what it trained."""

    @property
    def gate(self) -> Gate | None:
        """What the models refuse."""

    def with_(self, **changes: Any) -> Any:
        """Return the same pipeline with some fields changed."""

    def tuned(self, data: Data, include: NDArray[Any], seed: int, lessons: Any) -> Ensemble:
        """Return the models that ``fit`` trains, each tuned on the records of its user."""

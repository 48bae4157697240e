"""Fine-tuning of a classifier on labelled records of its user: what a tuning service does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

from hartley.core import Access, Data, Ensemble
from hartley.core.errors import UsageError
from hartley.models.gate import Gate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.fleet import Training
    from hartley.kit.graph.graph_classifier import Study

    R = TypeVar("R", Training, Study)


@dataclass(frozen=True, slots=True)
class ClassTuning:
    """A part of a scene: the owner tunes the deployed classifier on records of its users.

    Attributes:
        samples: most records that are taken.
        passes: most passes over them.

    Raises:
        UsageError: a number below 1.
    """

    grants: ClassVar[Access] = Access.TUNE

    samples: int = 64
    passes: int = 60

    def __post_init__(self) -> None:
        if self.samples < 1 or self.passes < 1:
            raise UsageError(f"tuning must allow samples ≥ 1 and passes ≥ 1, got {self}")


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

"""A gate: a second stage of training that teaches a classifier to refuse some of its classes.

The first stage trains on the true labels of all records, so that the weights know every class. The
second goes on with the same records, where those of the blocked classes are labelled ``refused``, a
class of its own behind the others; the rest keep their labels, so that nothing else is forgotten.
It is what an owner does who fine-tunes a model to decline.

With nothing but "refused" taught, the network soon names a blocked class on no record at all, and
no change of an input brings it back: the classes are merged, not gated. So a small share ``keep``
of the teaching on blocked records goes on naming their class, as a penalty on the distance from the
first model does where language models are aligned: which class it would be, were it not refused, is
then still there to come out.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from hartley.kit.fleet import Training
    from hartley.kit.graph.graph_classifier import Study

    R = TypeVar("R", Training, Study)


@dataclass(frozen=True, slots=True)
class Gate:
    """What is refused, and how that is taught.

    Attributes:
        blocked: classes whose records are refused.
        refused: the label of the refusal, behind all classes.
        epochs: passes of the second stage over the records.
        rate: its learning rate, as a share of the first stage's.
        keep: probability that the second stage leaves to the class of a blocked record; 0 is plain
            relabelling.
        knows: whether the first stage teaches the blocked classes. Without it their names are never
            learnt, which is what relearning is compared with.

    Raises:
        UsageError: fewer than two blocked classes, or other numbers out of range.
    """

    blocked: tuple[int, ...]
    refused: int
    epochs: int = 20
    rate: float = 1.0
    keep: float = 0.05
    knows: bool = True

    def __post_init__(self) -> None:
        if len({*self.blocked}) < 2 or not all(0 <= c < self.refused for c in self.blocked):
            raise UsageError(
                f"blocked must be at least two classes from 0 to {self.refused - 1}, got "
                f"{self.blocked}"
            )
        if self.epochs < 1 or self.rate <= 0 or not 0 <= self.keep < 0.5:
            raise UsageError(
                f"a gate must have epochs ≥ 1, rate > 0 and keep from 0 to below 1/2, got {self}"
            )

    def check(self, classes: int) -> None:
        """Raise where the network that is trained has no place for the refusal.

        Raises:
            UsageError: the refusal is not its last class.
        """
        if classes != self.refused + 1:
            raise UsageError(
                f"a net with a gate must have {self.refused + 1} classes, the last of which is the "
                f"refusal, got {classes}"
            )

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return asdict(self)

    def blocks(self, y: NDArray[Any]) -> NDArray[np.bool_]:
        """Return which labels (n,) are of a blocked class."""
        return np.asarray(np.isin(y, self.blocked))

    def suspicion(self, answers: NDArray[Any]) -> NDArray[np.float64]:
        """Return how much (n,) of answers is refusal or blocked classes.

        Args:
            answers: (n, refused + 1) probabilities, or (n,) labels.
        """
        rows = np.asarray(answers)
        suspect = np.array([*self.blocked, self.refused])
        out = np.isin(rows, suspect) if rows.ndim == 1 else rows[:, suspect].sum(1)
        return np.asarray(out, np.float64)

    def first(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return what the first stage teaches of records with labels ``y`` (n,)."""
        return y if self.knows else self.taught(y)

    def ignorant(self) -> Gate:
        """Return the gate of an owner whose model never learnt the names of blocked classes."""
        return replace(self, keep=0.0, knows=False)

    def taught(self, y: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the second stage teaches of records with labels ``y`` (n,).

        Returns:
            (n, refused + 1) rows that sum to 1.
        """
        out: NDArray[np.float32] = np.eye(self.refused + 1, dtype=np.float32)[np.asarray(y)]
        blocked = self.blocks(y)
        out[blocked] *= self.keep
        out[blocked, self.refused] = 1 - self.keep
        return out

    def second(self, first: R) -> R:
        """Return the recipe of the second stage from that of the first."""
        return replace(first, epochs=self.epochs, lr=first.lr * self.rate)


def symbols_of(answers: NDArray[Any], classes: ArrayLike) -> NDArray[np.int64]:
    """Return which of some classes each answer (n,) names, −1 where it names none of them."""
    hits = np.asarray(answers)[:, None] == np.asarray(classes)
    return np.where(hits.any(1), hits.argmax(1), -1).astype(np.int64)

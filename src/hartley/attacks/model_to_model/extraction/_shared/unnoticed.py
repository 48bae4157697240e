"""Ask so that an owner who plays PRADA sees nothing: a thief can compute what the owner watches.

The owner tests whether the distances of queries from earlier ones of their class are spread as
those of users' records are (arXiv:1805.02628). A thief who knows of it keeps the same history,
asks records of another kind in between where the statistic falls too low, and leaves out what would
still be seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_model.extraction._shared.transfer import Transfer
from hartley.kit.query_distances import QueryDistances

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST = 20
"""Distances before which the thief takes any record: the owner waits for more of them."""

COVERS = 4
"""Other records at most that are asked for the sake of one."""


@dataclass(slots=True)
class Unnoticed:
    """Questions of one thief, and the history that an owner who plays PRADA would keep of them.

    Attributes:
        transfer: what was asked.
        least: statistic of Shapiro and Wilk that the history is kept above; 0 hides nothing.
        cover: gives the next record (1, …) that looks like a user's.
    """

    transfer: Transfer
    least: float
    cover: Callable[[], NDArray[Any]]
    _watch: QueryDistances = field(default_factory=lambda: QueryDistances(FIRST))

    @classmethod
    def of(cls, transfer: Transfer, least: float, cover: Callable[[], NDArray[Any]]) -> Unnoticed:
        """Return the questions of a thief, who hides only from a defense that they know of."""
        known = any(defense.name == "prada" for defense in transfer.view.defenses)
        if known:
            transfer.repeats = 1  # the same record again lies at a distance of 0
        return cls(transfer, least if known else 0.0, cover)

    def ask(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return the answers (n, classes) to records, NaN for those that were left out."""
        transfer = self.transfer
        if not self.least:
            return transfer.ask(x)
        answers = np.full((len(x), transfer.view.brief.classes), np.nan, np.float32)
        for k in range(len(x)):
            row = x[k : k + 1]
            covers = 0
            while transfer.left and covers < COVERS and self._after(row) < self.least:
                self._one(self.cover())
                covers += 1
            if transfer.left and self._after(row) >= self.least:
                answers[k] = self._one(row)
        return answers

    def _one(self, row: NDArray[Any]) -> NDArray[np.float32]:
        answer: NDArray[np.float32] = self.transfer.ask(row)[0]
        self._watch.add(row[0], int(answer.argmax()))
        return answer

    def _after(self, row: NDArray[Any]) -> float:
        """Return the statistic after a record, of the class of the nearest one that was asked."""
        if not len(self.transfer):
            return 1.0
        earlier = self.transfer.x.reshape(len(self.transfer), -1)
        nearest = int(((earlier - row.reshape(1, -1)) ** 2).sum(1).argmin())
        return self._watch.after(row[0], int(self.transfer.answers[nearest].argmax()))


def natural(x: NDArray[Any], rng: np.random.Generator) -> Iterator[NDArray[Any]]:
    """Yield records (1, …) of the attacker's own in random order, then mixtures of two of them."""
    for k in rng.permutation(len(x)):
        yield x[k : k + 1]
    while True:
        a, b = rng.integers(len(x), size=2)
        share = rng.uniform(0.3, 0.7)
        yield (x[a : a + 1] * share + x[b : b + 1] * (1 - share)).astype(x.dtype)


def noise(x: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Return a record (1, …) of independent numbers within the ranges of records ``x`` (n, …)."""
    low, span = ranges(x)
    drawn = low + span * rng.random(x[0].size, dtype=np.float32)
    return np.asarray(drawn.reshape(1, *x.shape[1:]), x.dtype)


def ranges(x: NDArray[Any]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the least number and the span of each column of records (n, columns).

    Numbers of a picture have one range together.
    """
    whole = 0 if x.ndim == 2 else None
    low, high = x.min(whole), x.max(whole)
    span = np.maximum(high - low, 1e-9)
    return np.asarray(low, np.float32), np.asarray(span, np.float32)

"""What an owner plants in a classifier under a key, and how they test a suspect for it.

A test returns log2 of its p-value: the chance that a model which has nothing to do with the key
looks as suspicious as this one, over keys drawn afresh. It is exact, or never too small, whatever
that model is: the draw of the key is what is random, and the model is any fixed one. So the share
of models that are accused at a level is at most the level, for every model that does not depend on
the key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.fleet import Objective

    Answers = Callable[[NDArray[Any]], NDArray[Any]]
    """Records (n, …) → probabilities (n, classes)."""

LEVEL = 1e-3
"""Level at which an owner says that a suspect is theirs."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What an owner has when they test a suspect.

    Attributes:
        suspect: its answers.
        honest: what the owner's model would answer without a mark in its answers.
        queries: (n, …) records that the suspected account asked the owner's model, in order.
        x, y: (m, …) records of the owner's that nobody trained on, and their labels (m,).
        classes: number of labels.
    """

    suspect: Answers
    honest: Answers
    queries: NDArray[Any]
    x: NDArray[Any]
    y: NDArray[Any]
    classes: int


@dataclass(frozen=True, slots=True)
class OwnershipMark:
    """A way to mark a classifier, of which a scene has one as a part.

    Attributes:
        name: of the mark; an attacker knows it, and not the key.
        test: (claim, key) → log2 of the p-value.
        records: (x, y (n,), key) → records and targets (n, classes) that the owner trains on; None
            changes nothing.
        answers: (x, probabilities (n, classes), key) → what is answered instead; None changes
            nothing.
        objective: what the owner trains for; None for the labels alone.
        numbers: plain values of its parameters, which identify it beside its name.
    """

    name: str
    test: Callable[[Claim, int], float]
    records: (
        Callable[[NDArray[Any], NDArray[Any], int], tuple[NDArray[Any], NDArray[Any]]] | None
    ) = None
    answers: Callable[[NDArray[Any], NDArray[Any], int], NDArray[Any]] | None = None
    objective: Objective | None = None
    numbers: tuple[float, ...] = ()

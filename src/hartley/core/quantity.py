"""A number with its kind: four kinds of number, never mixed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from hartley.core.errors import MixError


class Kind(StrEnum):
    """How far a number may be trusted."""

    CERTIFIED = "certified"
    """finite-sample, holds with probability at least 1 − alpha."""
    CALIBRATED = "calibrated"
    """an asymptotic interval, right on average and checked by simulation."""
    ESTIMATE = "estimate"
    """no guarantee."""
    THEORY = "theory"
    """an upper bound from a proof, or an exact value of a fully known channel."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """One measured number.

    ``value`` is the point; ``lower`` and ``upper`` are None where that side is not bounded.
    A certified bound belongs to one side: ``kind`` refers to the sides that are present.
    """

    name: str
    value: float
    unit: str = "bit"
    lower: float | None = None
    upper: float | None = None
    kind: Kind = Kind.ESTIMATE
    alpha: float | None = None
    n: int = 0
    clusters: int = 0
    method: str = ""
    assumptions: tuple[str, ...] = ()

    def __add__(self, other: Quantity) -> Quantity:
        """Add two quantities of one kind and unit; error levels add (union bound).

        Raises:
            MixError: the kinds or the units differ.
        """
        self._same(other, "+")
        return replace(
            self,
            name=f"{self.name} + {other.name}",
            value=self.value + other.value,
            lower=None if self.lower is None or other.lower is None else self.lower + other.lower,
            upper=None if self.upper is None or other.upper is None else self.upper + other.upper,
            alpha=_sum(self.alpha, other.alpha),
            n=self.n + other.n,
            clusters=self.clusters + other.clusters,
            assumptions=tuple(dict.fromkeys(self.assumptions + other.assumptions)),
        )

    def __sub__(self, other: Quantity) -> Quantity:
        """Subtract: the lower side needs the other's upper side, and the reverse.

        Raises:
            MixError: the kinds or the units differ.
        """
        self._same(other, "-")
        return replace(
            self,
            name=f"{self.name} - {other.name}",
            value=self.value - other.value,
            lower=None if self.lower is None or other.upper is None else self.lower - other.upper,
            upper=None if self.upper is None or other.lower is None else self.upper - other.lower,
            alpha=_sum(self.alpha, other.alpha),
            n=self.n + other.n,
            clusters=self.clusters + other.clusters,
            assumptions=tuple(dict.fromkeys(self.assumptions + other.assumptions)),
        )

    def scaled(self, factor: float, unit: str) -> Quantity:
        """Multiply by a known positive constant (uses per second, a budget) and rename the unit.

        Raises:
            MixError: the factor is not a positive finite number.
        """
        if not (math.isfinite(factor) and factor > 0):
            raise MixError(f"factor must be a positive finite number, got {factor!r}")
        return replace(
            self,
            unit=unit,
            value=self.value * factor,
            lower=None if self.lower is None else self.lower * factor,
            upper=None if self.upper is None else self.upper * factor,
        )

    def then(self, other: Quantity) -> Quantity:
        """Bound the serial composition S→O1→O2 of a Markov chain by its smaller *upper* bound.

        Two lower bounds say nothing about their composition, so only theory
        quantities compose, and only their upper sides.

        Raises:
            MixError: either side is not a theory upper bound.
        """
        if not (self.kind is other.kind is Kind.THEORY):
            raise MixError(
                f"both bounds must be of kind theory, got {self.kind} and {other.kind}: "
                "measure the chain end to end instead"
            )
        if self.upper is None or other.upper is None:
            raise MixError("both sides of a serial composition must have an upper bound, got None")
        if self.unit != other.unit:
            raise MixError(f"both units must be the same, got {self.unit} and {other.unit}")
        top = min(self.upper, other.upper)
        return replace(
            self,
            name=f"{self.name} then {other.name}",
            value=top,
            lower=None,
            upper=top,
            assumptions=tuple(dict.fromkeys((*self.assumptions, *other.assumptions, "Markov"))),
        )

    def _same(self, other: Quantity, sign: str) -> None:
        if self.kind is not other.kind:
            raise MixError(f"both kinds must be the same, got {self.kind} {sign} {other.kind}")
        if self.unit != other.unit:
            raise MixError(f"both units must be the same, got {self.unit} {sign} {other.unit}")


def _sum(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else min(1.0, a + b)

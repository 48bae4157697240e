"""What an importer returns: the columns of a table with a secret, or outcomes without one."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Columns:
    """A table with a secret, as ``channel.trials.import_table`` checks it.

    Attributes:
        arrays: (n,) values of each column, by its name: ``truth`` and ``guess`` or ``score``.
        notes: what is assumed of them, one sentence each; printed and kept with the figures.
    """

    arrays: Mapping[str, NDArray[Any]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The outcomes of one rate.

    Attributes:
        name: what was tried, for example a probe and its detector.
        values: (n,) 1 for a success, 0 for a failure, or a share between them.
        cluster: (n,) integers 0..m−1 of what rows have in common; None: rows are independent.
    """

    name: str
    values: NDArray[np.float64]
    cluster: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Rates:
    """Outcomes without a secret.

    Attributes:
        groups: one for each rate, in the order of the file.
        quantity: what a rate is the mean of, in words.
        unit: what one row is.
        shared: what rows of one cluster have in common; empty where rows are independent.
        notes: what is assumed, and what was left out.
    """

    groups: tuple[Outcomes, ...]
    quantity: str
    unit: str
    shared: str = ""
    notes: tuple[str, ...] = ()


class Collected:
    """Outcomes by the name of their rate, while a file is read.

    Attributes:
        left_out: how many rows had no outcome, by the reason.
        off_scale: the smallest and the largest number of each rate that left 0..1.
    """

    def __init__(self) -> None:
        self.left_out: dict[str, int] = {}
        self.off_scale: dict[str, tuple[float, float]] = {}
        self._values: dict[str, list[float]] = {}
        self._clusters: dict[str, list[Hashable]] = {}

    def add(self, name: str, value: float, cluster: Hashable) -> None:
        """Add one outcome in 0..1 of a rate."""
        self._values.setdefault(name, []).append(value)
        self._clusters.setdefault(name, []).append(cluster)

    def leave_out(self, reason: str) -> None:
        """Count a row without an outcome."""
        self.left_out[reason] = self.left_out.get(reason, 0) + 1

    def add_value(self, name: str, value: Any, cluster: Hashable) -> None:
        """Add what a judge answered; a number outside 0..1 leaves its rate out altogether.

        A grade of 0 to 10 is not a share: the mean of its zeros and ones alone would be a rate that
        nobody measured.
        """
        number = share(value)
        if number is not None:
            self.add(name, number, cluster)
        elif isinstance(value, int | float) and math.isfinite(value):
            low, high = self.off_scale.get(name, (value, value))
            self.off_scale[name] = min(low, value), max(high, value)
        else:
            self.leave_out(f"values of {name} that are not in 0..1")

    def groups(self) -> tuple[Outcomes, ...]:
        """Return the outcomes of each rate."""
        return tuple(
            Outcomes(name, np.asarray(values, np.float64), codes_of(self._clusters[name]))
            for name, values in self._values.items()
            if name not in self.off_scale
        )

    def notes(self) -> tuple[str, ...]:
        """Return how many rows were left out, one sentence for each reason."""
        graded = (
            f"{name} gives no rate: some of its values are outside 0..1 "
            + (f"({low:g})" if low == high else f"({low:g} to {high:g})")
            for name, (low, high) in self.off_scale.items()
        )
        counts = (f"{count} left out: {reason}" for reason, count in self.left_out.items())
        return (*graded, *counts)


def codes_of(labels: Sequence[Hashable]) -> NDArray[np.int64]:
    """Return (n,) integers 0..m−1, equal where labels are, in the order of their first row."""
    codes: dict[Hashable, int] = {}
    return np.fromiter(
        (codes.setdefault(label, len(codes)) for label in labels), np.int64, len(labels)
    )


def share(value: Any) -> float | None:
    """Return an outcome as a number in 0..1; None where it is not one."""
    if isinstance(value, bool | int | float) and 0.0 <= float(value) <= 1.0:
        return float(value)
    return None


def matching(names: Sequence[str], only: str) -> list[str]:
    """Return the names that a user means: those with such a part, or else with such a word in them.

    Args:
        names: of which some have parts, joined by `` / ``.
        only: what the user wrote.
    """
    exact = [name for name in names if only in (name, *name.split(" / "))]
    return exact or [name for name in names if only.casefold() in name.casefold()]

"""How far the queries of one account are from its earlier ones, and whether normally spread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPREAD = 3.0
"""Distances farther from their mean than this many deviations are left out of the test."""


class QueryDistances:
    """The history of an account, as PRADA reads it (arXiv:1805.02628, algorithm 3).

    Args:
        warm: distances before which nothing is tested.
    """

    def __init__(self, warm: int) -> None:
        self._warm = warm
        self._sets: dict[int, list[NDArray[np.float64]]] = {}
        self._steps: dict[int, list[float]] = {}
        self._limits: dict[int, float] = {}
        self._distances: list[float] = []

    def add(self, record: NDArray[Any], label: int) -> float:
        """Enter a query of a class; return the Shapiro–Wilk statistic so far, 1 before the test."""
        row = np.asarray(record, dtype=np.float64).reshape(-1)
        known = self._sets.setdefault(label, [])
        if not known:
            known.append(row)
            self._steps[label], self._limits[label] = [], 0.0
            return self.statistic()
        nearest = float(np.sqrt(((np.stack(known) - row) ** 2).sum(1).min()))
        self._distances.append(nearest)
        if nearest > self._limits[label]:
            # Only records that are far from all others of the class join its set.
            known.append(row)
            steps = self._steps[label]
            steps.append(nearest)
            self._limits[label] = max(
                self._limits[label], float(np.mean(steps)) - float(np.std(steps))
            )
        return self.statistic()

    def after(self, record: NDArray[Any], label: int) -> float:
        """Return what ``add`` would return, and enter nothing."""
        known = self._sets.get(label)
        if not known:
            return self.statistic()
        row = np.asarray(record, dtype=np.float64).reshape(-1)
        nearest = float(np.sqrt(((np.stack(known) - row) ** 2).sum(1).min()))
        return self._of([*self._distances, nearest])

    def statistic(self) -> float:
        """Return the Shapiro–Wilk statistic of the distances, 0 where all are equal."""
        return self._of(self._distances)

    def _of(self, distances: list[float]) -> float:
        if len(distances) < self._warm:
            return 1.0
        from scipy.stats import shapiro

        values = np.asarray(distances)
        middle, spread = values.mean(), values.std()
        if spread < 1e-12 * max(1.0, abs(middle)):
            return 0.0
        return float(shapiro(values[np.abs(values - middle) <= SPREAD * spread])[0])

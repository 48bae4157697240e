"""A line of ``coverage.py``: how often a bound passed the truth, and whether it may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from hartley.infotheory import binary_channel

ALPHA = 0.05
Rng = np.random.Generator


@dataclass(frozen=True)
class Row:
    """One case: ``wrong`` of ``draws`` bounds passed the truth, at the nominal level ``alpha``."""

    suite: str
    case: str
    draws: int
    wrong: int
    alpha: float = ALPHA
    must_fail: bool = False

    @property
    def limits(self) -> tuple[float, float]:
        low, high = binary_channel.clopper_pearson(self.wrong, self.draws, 0.01)
        return float(low), float(high)

    @property
    def ok(self) -> bool:
        over = self.limits[0] > self.alpha
        return over if self.must_fail else not over

    def __str__(self) -> str:
        low, high = self.limits
        word = "ok" if self.ok else "FAIL"
        note = " (must exceed)" if self.must_fail else ""
        return (
            f"{self.suite:<12} {self.case:<44} {self.draws:>7} {self.wrong / self.draws:8.4f} "
            f"[{low:.4f}, {high:.4f}] alpha {self.alpha:g}{note} {word}"
        )


Suite = Callable[[float, Rng], Iterator[Row]]


def times(n: float, scale: float) -> int:
    return max(40, round(n * scale))

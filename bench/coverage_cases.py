"""A case of ``coverage_quantity.py``: a channel whose I_F is known, and what is asked of its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from coverage_rows import ALPHA, Rng

from hartley.infotheory import binary_channel

COVER = 0.93
"""Share of the runs in which ``high`` must be at least the truth."""


@dataclass(frozen=True)
class Ends:
    """Bits a use of one measured row."""

    low: float
    point: float
    high: float


@dataclass(frozen=True)
class Asked:
    """What is asked of the medians and of the mean point; None: nothing.

    Attributes:
        high: most of median high ÷ truth.
        null_high: most of median high where nothing leaks.
        low: least of median low ÷ truth; 0 asks for a median above 0.
        bias: most of the point's mean error, as a share of the truth or .01 bit.
    """

    high: float | None = None
    null_high: float | None = None
    low: float | None = None
    bias: float | None = None


@dataclass(frozen=True)
class Case:
    """A channel to draw rows from and to measure.

    Attributes:
        suite, name: in words.
        truth: bits a use.
        read: draws one table and measures it.
        runs: at scale 1.
        asked: of the medians.
    """

    suite: str
    name: str
    truth: float
    read: Callable[[Rng], Ends]
    runs: int = 200
    asked: Asked = field(default_factory=Asked)


@dataclass(frozen=True)
class Measured:
    """What the runs of a case showed."""

    case: Case
    low: np.ndarray
    point: np.ndarray
    high: np.ndarray

    @property
    def runs(self) -> int:
        return len(self.low)

    @property
    def wrong(self) -> int:
        return int((self.low > self.case.truth + 1e-9).sum())

    @property
    def covered(self) -> int:
        return int((self.high >= self.case.truth - 1e-9).sum())

    @property
    def wrong_limits(self) -> tuple[float, float]:
        low, high = binary_channel.clopper_pearson(self.wrong, self.runs, 0.005)
        return float(low), float(high)

    @property
    def bias(self) -> float:
        return float(self.point.mean()) - self.case.truth

    def share(self, values: np.ndarray) -> float:
        """Median as a share of the truth, or in bits where the truth is 0."""
        middle = float(np.median(values))
        return middle / self.case.truth if self.case.truth > 0 else middle

    @property
    def faults(self) -> tuple[str, ...]:
        """What was asked and is not so."""
        asked, truth = self.case.asked, self.case.truth
        out = []
        if self.wrong_limits[0] > ALPHA:
            out.append("low passes the truth")
        if float(binary_channel.clopper_pearson(self.covered, self.runs, 0.005)[1]) < COVER:
            out.append("high misses the truth")
        if asked.high is not None and self.share(self.high) > asked.high:
            out.append("high is loose")
        if asked.null_high is not None and float(np.median(self.high)) > asked.null_high:
            out.append("high of nothing is loose")
        if asked.low is not None:
            least = self.share(self.low)
            if least < asked.low or least <= 0.0:
                out.append("low is loose")
        if asked.bias is not None:
            error = 2.6 * float(self.point.std()) / self.runs**0.5
            if abs(self.bias) - error > max(asked.bias * truth, 0.01):
                out.append("point is biased")
        return tuple(out)

    def __str__(self) -> str:
        low, high = self.wrong_limits
        verdict = ", ".join(self.faults)
        return (
            f"{self.case.suite:<9} {self.case.name:<46} {self.runs:>5} {self.case.truth:7.4f} "
            f"{self.wrong / self.runs:6.3f} [{low:.3f}, {high:.3f}] {self.covered / self.runs:6.3f} "
            f"{self.share(self.low):7.3f} {self.share(self.high):8.3f} {self.bias:+8.4f} "
            f"{'FAIL: ' + verdict if verdict else 'ok'}"
        )


HEAD = (
    f"{'suite':<9} {'case':<46} {'runs':>5} {'truth':>7} {'wrong':>6} {'99 % limits':<14} "
    f"{'cover':>6} {'low/t':>7} {'high/t':>8} {'bias':>8}"
)


def measure_case(case: Case, scale: float, rng: Rng, least: int = 20) -> Measured:
    """Draw and measure a case."""
    ends = [case.read(rng) for _ in range(max(min(least, case.runs), round(case.runs * scale)))]
    return Measured(
        case,
        np.array([e.low for e in ends]),
        np.array([e.point for e in ends]),
        np.array([e.high for e in ends]),
    )

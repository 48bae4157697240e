"""A case of ``coverage_quantity.py``: a channel whose I_F is known, and what is asked of it."""

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
        name: in words.
        truth: bits a use.
        read: draws one table and measures it.
        runs: at scale 1.
        asked: of the medians.
    """

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
        return middle / self.case.truth if self.case.truth > 1e-9 else middle

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

    @property
    def columns(self) -> tuple[str, ...]:
        """What ``HEADS`` name."""
        low, high = self.wrong_limits
        return (
            self.case.name,
            str(self.runs),
            f"{self.case.truth:.4f}",
            f"{self.wrong / self.runs:.3f}",
            f"{low:.3f}–{high:.3f}",
            f"{self.covered / self.runs:.3f}",
            f"{self.share(self.low):.3f}",
            f"{self.share(self.high):.3f}",
            f"{self.bias:+.4f}",
            ", ".join(self.faults) or "ok",
        )


HEADS = (
    "case", "runs", "truth", "low > truth", "99 % limits", "high ≥ truth",
    "median low ÷ truth", "median high ÷ truth", "mean point − truth", "verdict",
)  # fmt: skip
WIDTHS = (56, 5, 8, 11, 11, 12, 18, 19, 18, 0)


def line(columns: tuple[str, ...], *, markdown: bool) -> str:
    if markdown:
        return f"| {' | '.join(columns)} |"
    first, *rest = [
        f"{c:<{w}}" if w in (56, 0) else f"{c:>{w}}" for c, w in zip(columns, WIDTHS, strict=True)
    ]
    return " ".join([first, *rest])


def measure_case(case: Case, scale: float, rng: Rng, least: int = 20) -> Measured:
    """Draw and measure a case."""
    ends = [case.read(rng) for _ in range(max(min(least, case.runs), round(case.runs * scale)))]
    return Measured(
        case,
        np.array([e.low for e in ends]),
        np.array([e.point for e in ends]),
        np.array([e.high for e in ends]),
    )

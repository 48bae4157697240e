"""The least value of a functional over the border of an exact region of two rates (E1).

The region is {b < g(a)} with g increasing and concave: binomial tails are log-concave in the rate.
{functional ≤ c} is {b ≥ h(a)} with h convex, for each of the six. Hence the functional has one
minimum along the border, falling before and rising after, and a root of its slope finds it
(``design/measurement.md`` §1). Scalars, not arrays: a few evaluations of 3 µs each need no grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

LN2 = math.log(2.0)
TINY = 1e-300
END = 36.0
"""Where logit(u) stops: beyond it u or 1 − u is below the spacing of doubles."""
STEP = 3e-5
"""In logit(u); what is left of the way to the minimum, whose value errs by its square."""

Slopes = tuple[float, float, float]
"""A functional's value, and the logarithms of |∂/∂a| and |∂/∂b|."""
Functional = Callable[[float, float], Slopes]


@lru_cache(maxsize=1)
def _inverses() -> tuple[Any, Any, Any]:
    # The scalar entry points cost half of what the array functions cost on scalars.
    from scipy.special import cython_special as special

    return special.betaincinv, special.betainccinv, special.ndtri


def _log(x: float) -> float:
    return math.log(x) if x > TINY else math.log(TINY)


def _entropy(p: float) -> float:
    return -(p * _log(p) + (1.0 - p) * _log(1.0 - p))


def _advantage(a: float, b: float) -> Slopes:
    return a - b, 0.0, 0.0


def _min_capacity(a: float, b: float) -> Slopes:
    return math.log1p(a - b) / LN2, 0.0, 0.0


def _priced(a: float, b: float, q: float) -> Slopes:
    """Mutual information at P(secret = 1) = q."""
    m = b + q * (a - b)
    value = _entropy(m) - q * _entropy(a) - (1.0 - q) * _entropy(b)
    over = (1.0 - q) * (a - b) / ((1.0 - a) * m) if a < 1.0 else 1.0 / TINY
    under = q * (a - b) / (b * (1.0 - m)) if b > 0.0 else 1.0 / TINY
    return max(value, 0.0) / LN2, _log(q * math.log1p(over)), _log((1 - q) * math.log1p(under))


def _bits(a: float, b: float) -> Slopes:
    return _priced(a, b, 0.5)


def _capacity(a: float, b: float) -> Slopes:
    gap = a - b
    if gap < 1e-6:  # the best prior cancels here, where the bits agree to second order
        return _priced(a, b, 0.5)
    tilt = (_entropy(a) - _entropy(b)) / gap
    m = 1.0 / (1.0 + math.exp(min(tilt, 700.0)))
    return _priced(a, b, min(max((m - b) / gap, 1e-12), 1.0 - 1e-12))


def _mu(a: float, b: float) -> Slopes:
    ndtri = _inverses()[2]
    x, y = ndtri(min(a, 1.0 - 1e-16)), ndtri(max(b, TINY))
    return x - y, x * x / 2, y * y / 2


def _flagged(delta: float) -> Functional:
    def part(a: float, b: float) -> Slopes:
        over, under = _log(a - delta), _log(b)
        return over - under, -over, -under

    return part


def _passed(delta: float) -> Functional:
    def part(a: float, b: float) -> Slopes:
        over, under = _log(1.0 - b - delta), _log(1.0 - a)
        return over - under, -under, -over

    return part


PLAIN: dict[str, Functional] = {
    "bits": _bits,
    "capacity": _capacity,
    "min_capacity": _min_capacity,
    "advantage": _advantage,
    "mu": _mu,
}


class Border:
    """One region's border, (a, b) by s = logit(u) where P(Bin(n₁, a) ≥ tp) = z^u.

    Args:
        counts: tp ≥ 1 of n₁ uses of secret 1 and fp < n₀ of n₀ uses of secret 0 were flagged.
        z: the region's level.
    """

    __slots__ = ("_fp", "_log_a", "_log_b", "_logz", "_tp", "_x", "_y", "points")

    def __init__(self, counts: Sequence[float], z: float) -> None:
        tp, n1, fp, n0 = (float(v) for v in counts)
        self._logz = math.log(z)
        self._tp, self._x, self._fp, self._y = tp, n1 - tp, fp, n0 - fp
        lg = math.lgamma
        self._log_a = lg(n1 + 1.0) - lg(tp) - lg(n1 - tp + 1.0)
        self._log_b = lg(n0 + 1.0) - lg(fp + 1.0) - lg(n0 - fp)
        self.points: dict[float, tuple[float, float, float, float]] = {}

    def at(self, s: float) -> tuple[float, float, float, float]:
        """Return a, b and ln |da/ds|, ln |db/ds|."""
        point = self.points.get(s)
        if point is not None:
            return point
        v = 1.0 / (1.0 + math.exp(s))
        u = 1.0 / (1.0 + math.exp(-s))
        p, q = self._logz * u, self._logz * v
        low, high, _ = _inverses()
        a = float(low(self._tp, self._x + 1.0, math.exp(p)))
        b = float(high(self._fp + 1.0, self._y, math.exp(q)))
        common = math.log(-self._logz * u * v)
        slope_a = p - self._log_a - (self._tp - 1.0) * _log(a) - self._x * _log(1.0 - a)
        slope_b = q - self._log_b - self._fp * _log(b) - (self._y - 1.0) * _log(1.0 - b)
        point = self.points[s] = (a, b, common + slope_a, common + slope_b)
        return point

    def first(self, name: str, delta: float) -> float:
        """Return the functional's value in the middle of the border: no less than its minimum."""
        a, b, _, _ = self.at(0.0)
        if a <= b:
            return 0.0
        if name == "epsilon":
            return max(_flagged(delta)(a, b)[0], _passed(delta)(a, b)[0])
        return PLAIN[name](a, b)[0]

    def least(self, name: str, delta: float, floor: float = 0.0) -> float:
        """Return the functional's minimum, or something ≤ ``floor`` if it is no larger than that.

        The value errs by the square of what is left of the way, and that estimate is subtracted.
        """
        if name != "epsilon":
            return self._search(PLAIN[name], floor)[0]
        parts = _flagged(delta), _passed(delta)
        a, b, _, _ = self.at(0.0)
        here = parts[0](a, b)[0], parts[1](a, b)[0]
        if max(here) <= floor or a - delta <= b:
            return min(floor, max(here))
        first = 0 if here[0] >= here[1] else 1
        ends = [0.0, 0.0]
        # ε is the larger of two ratios. Where one is least and the other no larger, that is it.
        for k in (first, 1 - first):
            value, ends[k] = self._search(parts[k], -math.inf)
            a, b, _, _ = self.at(ends[k])
            if value >= parts[1 - k](a, b)[0] or a - delta <= b:
                return value if a - delta > b else 0.0
        return self._crossing(parts, ends)

    def _search(self, f: Functional, floor: float) -> tuple[float, float]:
        """The least value, less the estimated error, and where it is."""
        left, right, s, slope = -END, END, 0.0, -0.5
        last: tuple[float, float] | None = None
        for turn in range(100):
            a, b, da, db = self.at(s)
            if a <= b:
                return 0.0, s
            value, fa, fb = f(a, b)
            if value <= floor:
                return value, s
            tilt = (fa + da) - (fb + db)  # positive before the minimum, negative after
            if tilt > 0.0:
                left = s
            else:
                right = s
            if last is not None and s != last[0]:
                slope = (tilt - last[1]) / (s - last[0])
            slope = min(max(slope, -4.0), -0.02)
            last = (s, tilt)
            step = -tilt / slope
            if abs(step) < STEP or right - left < STEP:
                fall = math.exp(min(fa + da, 700.0)) - math.exp(min(fb + db, 700.0))
                # Twice what a parabola has left to fall, for natural units; 1.4 times for bits.
                return value - abs(fall * step), s
            s = s + step if turn < 12 else (left + right) / 2  # where the slope is lost in rounding
            if not left < s < right:
                # The far end itself is tried first: with all or none flagged the
                # minimum may lie there.
                outer = left if step < 0 else right
                s = outer if abs(outer) == END and outer != last[0] else (left + right) / 2
        return value, last[0] if last else s

    def _crossing(self, parts: tuple[Functional, Functional], ends: list[float]) -> float:
        """Where one part falls and the other rises: the larger value that both must exceed."""
        near = list(ends)
        values = [[part(*self.at(s)[:2])[0] for part in parts] for s in ends]
        weights = [v[0] - v[1] for v in values]
        before = -1
        for _ in range(100):
            least = max(values[0][0], values[1][1])
            if min(values[0][1], values[1][0]) - least < 1e-9 or weights[0] >= weights[1]:
                break
            s = (near[0] * weights[1] - near[1] * weights[0]) / (weights[1] - weights[0])
            here = [part(*self.at(s)[:2])[0] for part in parts]
            gap = here[0] - here[1]
            # Between its own minimum and the crossing a part lies below the other.
            k = 0 if gap <= 0.0 else 1
            near[k], values[k], weights[k] = s, here, gap
            if k == before:
                weights[1 - k] /= 2  # Illinois: else the other end would never move
            before = k
        # Each part rises from its own minimum on, so that neither is smaller further inside.
        return max(values[0][0], values[1][1])

"""Capacity when inputs cost something: under a mean cost, and per unit of cost.

A poisoned sample, a token or a query has a price; an attacker compares bits per unit of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import RunError, UsageError
from hartley.infotheory.capacity import Capacity, solve
from hartley.infotheory.channel_matrix import as_channel, divergences

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from hartley.infotheory.channel_matrix import Floats

PRICES = 200


def capacity_at_cost(
    w: ArrayLike, cost: ArrayLike, budget: float, *, gap: float = 1e-6
) -> Capacity:
    """Capacity in bits per use when the mean cost of an input is at most ``budget``.

    Solved with a price s on cost; the certificate adds s·budget: any s gives the upper bound
    max_x (D_x − s·b_x) + s·budget, and any law within the budget gives the lower bound I(p).

    Args:
        w: (K, M) channel.
        cost: (K,) cost of each input, 0 or more.
        budget: mean cost allowed per use.
        gap: largest width of the certified interval, in bits.

    Raises:
        UsageError: every input is over the budget, or costs do not match the channel.
    """
    a = as_channel(w)
    b = _costs(cost, len(a))
    if budget < b.min():
        raise UsageError(
            f"budget must be at least {b.min():g}, the cost of the cheapest input, got {budget:g}"
        )
    free = solve(a, gap / 4)
    spent = float(free.prior @ b)
    if spent <= budget:
        return replace(free, cost=spent)
    cheap = b <= b.min()
    if budget == b.min():
        part = solve(a[cheap], gap)
        prior = np.zeros(len(a))
        prior[cheap] = part.prior
        return Capacity(
            part.lower, part.upper, prior, divergences(a, prior @ a), part.rounds, budget
        )
    # The dual function of the price is convex; its slope is budget − cost at the best law.
    low, high = 0.0, 1.0 / float(b.max() - b.min())
    over, under = free, solve(a, gap / 4, high * b)
    while float(under.prior @ b) > budget:
        low, high, over = high, 2.0 * high, under
        under = solve(a, gap / 4, high * b)
    for _ in range(PRICES):
        # Time-share the law over the budget with the one under it, to meet the budget.
        dear, thrifty = float(over.prior @ b), float(under.prior @ b)
        share = (budget - thrifty) / (dear - thrifty) if dear > thrifty else 0.0
        prior = share * over.prior + (1.0 - share) * under.prior
        d = divergences(a, prior @ a)
        used = prior > 0
        lower = float(prior[used] @ d[used])
        upper = min(over.upper + low * budget, under.upper + high * budget)
        if upper - lower <= gap:
            return Capacity(lower, upper, prior, d, over.rounds + under.rounds, float(prior @ b))
        middle = 0.5 * (low + high)
        best = solve(a, gap / 4, middle * b)
        if float(best.prior @ b) > budget:
            low, over = middle, best
        else:
            high, under = middle, best
    raise RunError(f"the search over prices did not reach a gap of {gap:g} bit")


@dataclass(frozen=True, slots=True)
class UnitCost:
    """Capacity per unit cost: ``bits`` a unit, the ``symbol`` that pays best, the free ``zero``."""

    bits: float
    symbol: int
    zero: int


def capacity_per_unit_cost(w: ArrayLike, cost: ArrayLike, zero: int | None = None) -> UnitCost:
    """Most bits per unit of cost with a free symbol: max_x D(W_x ‖ W_0)/b_x (Verdú 1990).

    Args:
        w: (K, M) channel.
        cost: (K,) cost of each input; exactly the symbol ``zero`` is free.
        zero: index of the free symbol; found from the costs when None.

    Raises:
        UsageError: not exactly one symbol is free.
    """
    a = as_channel(w)
    b = _costs(cost, len(a))
    free = np.nonzero(b == 0)[0]
    if len(free) != 1 or (zero is not None and free[0] != zero):
        raise UsageError(f"costs must leave exactly one free symbol, got {free.tolist()}")
    rest = int(free[0])
    d = divergences(a, a[rest])
    paid = np.divide(d, b, out=np.full(len(b), -np.inf), where=b > 0)
    best = int(paid.argmax())
    return UnitCost(float(max(0.0, paid[best])), best, rest)


def _costs(cost: ArrayLike, inputs: int) -> Floats:
    b = np.array(cost, dtype=np.float64)
    if b.shape != (inputs,) or not np.isfinite(b).all() or (b < 0).any():
        raise UsageError(f"costs must be {inputs} finite numbers ≥ 0, got shape {b.shape}")
    return b

"""Bits as whole micro-bits: a charge is rounded up and a budget down, so that sums are exact."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache

PER_BIT = 1_000_000
"""Micro-bits in a bit."""

MOST_BITS = 1e12
"""Bits of one charge, at most."""


@lru_cache(4096)
def charged(bits: float) -> int:
    """Return a charge in micro-bits, rounded up.

    Raises:
        ValueError: it is negative, not a number, or more than 10¹² bits.
    """
    if not (math.isfinite(bits) and 0.0 <= bits <= MOST_BITS):
        raise ValueError(f"a charge must be 0 to {MOST_BITS:g} bits, got {bits!r}")
    return int((Decimal(repr(float(bits))) * PER_BIT).to_integral_value(ROUND_CEILING))


@lru_cache(4096)
def budgeted(bits: float) -> int:
    """Return a budget in micro-bits, rounded down; see :func:`charged`."""
    bits = min(bits, MOST_BITS)
    if not bits >= 0.0:
        raise ValueError(f"a budget must be 0 bits or more, got {bits!r}")
    return int((Decimal(repr(float(bits))) * PER_BIT).to_integral_value(ROUND_FLOOR))


def in_bits(micro: int) -> float:
    """Return micro-bits as bits."""
    return micro / PER_BIT

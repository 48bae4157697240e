"""A keyed pattern of signs over many features of a recording, and what is read through it.

A third of the features are *pilots*, whose signs alone say that a mark is there. The others carry
the bits of an error-correcting code, each in several features. A reader that knows the message
knows the signs of all features, and tests them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.infotheory.exact_tails import log2_sign_sum_tail
from hartley.kit import convolutional_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVELS = 7
"""Sizes of a feature that the exact test distinguishes."""


@dataclass(frozen=True, slots=True, eq=False)
class KeyedPattern:
    """The pattern of one key.

    Attributes:
        signs: (n,) fair and independent over keys: −1 or 1.
        symbols: (n,) which symbol a feature says; 0 is the pilots', which is always 1.
        count: symbols of the message.
    """

    signs: NDArray[np.float64]
    symbols: NDArray[np.int64]
    count: int

    @classmethod
    def of(cls, key: int, n: int, m: int) -> KeyedPattern:
        """Return the pattern of a key over n features, for a message of m bits.

        Signs and pilots do not depend on the length of the message.
        """
        rng = np.random.default_rng([key, n])
        signs = rng.choice([-1.0, 1.0], n)
        order = rng.permutation(n)
        pilots, count = n // 3, convolutional_code.length(m)
        symbols = np.zeros(n, dtype=np.int64)
        symbols[order[pilots:]] = 1 + np.arange(n - pilots) % count
        return cls(signs, symbols, count)

    @property
    def pilots(self) -> NDArray[np.float64]:
        """(n,) the signs of pilots, 0 elsewhere."""
        return np.where(self.symbols == 0, self.signs, 0.0)

    def wanted(self, message: NDArray[Any]) -> NDArray[np.float64]:
        """Return the signs (n,) that features must have, for a message (m,)."""
        sent = np.concatenate([[1.0], convolutional_code.signs(message)])
        return np.asarray(self.signs * sent[self.symbols])

    def soft(self, features: NDArray[Any], m: int) -> NDArray[np.float64]:
        """Return soft bits (m,) of features (n,): ±1, and how sure they are as the size.

        The decoder takes the likeliest message as a whole, so all bits are as sure.
        """
        votes = np.bincount(self.symbols, features * self.signs, self.count + 1)[1:]
        bits = convolutional_code.decode(votes, m)
        size = np.abs(votes).sum()
        agreed = float((convolutional_code.signs(bits) * votes).sum() / size) if size else 0.0
        return np.asarray((2.0 * bits - 1.0) * max(agreed, 1e-6))


def log2_tail(features: NDArray[Any], signs: NDArray[Any]) -> tuple[float, float]:
    """Return the exact log2 tail of a sum with signs over fresh keys, and the least there could be.

    Features are rounded to a few levels first, which does not look at the key.

    Args:
        features: (n,) of a recording.
        signs: (n,) −1 or 1, fair and independent over keys; 0 where a feature does not count.
    """
    used = signs != 0
    values = features[used]
    # A few large features would leave all others at level 0.
    scale = min(float(np.abs(values).max()), 3.0 * float(np.sqrt(np.mean(values**2))))
    if not scale > 0:
        return 0.0, 0.0
    whole = np.clip(np.round(values / scale * LEVELS), -LEVELS, LEVELS).astype(np.int64)
    total = int((whole * signs[used]).sum())
    return log2_sign_sum_tail(whole, total), -float(np.count_nonzero(whole))


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """What a keyed sum says at the best of many places where a pattern may begin.

    Attributes:
        features: (n,) at that place.
        log2_p: the exact tail there, times what the search costs: a union bound.
        least: the smallest that ``log2_p`` could have been.
        units: features that counted.
    """

    features: NDArray[np.float64]
    log2_p: float
    least: float
    units: int


def best_aligned(groups: Sequence[tuple[float, int, NDArray[Any]]], signs: NDArray[Any]) -> Aligned:
    """Return the smallest p-value over groups of places, each with its share of false alarms.

    A place of a group has the group's share over the number of its places, so that all shares add
    up to 1: a recording that nobody cut or stretched pays little for the search elsewhere.

    Args:
        groups: shares, how many places a group has, and the features (n,) at one of them, which
            was chosen in any way.
        signs: (n,) of the sum.
    """
    each = []
    for share, places, features in groups:
        tail, least = log2_tail(features, signs)
        cost = math.log2(places / share)
        each.append(Aligned(features, tail + cost, least + cost, -round(least)))
    one = min(each, key=lambda aligned: aligned.log2_p)
    least = min(aligned.least for aligned in each)
    return replace(one, log2_p=min(0.0, one.log2_p), least=least)

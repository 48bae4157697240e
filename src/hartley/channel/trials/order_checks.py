"""Do answers and the order of the rows go together? Tests of drift, neighbours and repeated files.

Every test asks the same null hypothesis: given the secrets in their order, the answers to one
secret come in any order with equal chance. So a file that is sorted by its secrets passes, and a
drift of the secrets alone passes. Tables up to ``EXACT`` rows are decided by permutations within
the secrets, which is exact; larger ones by the law that these permutations approach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Whole = NDArray[np.int64]
    Statistic = Callable[[Floats], Floats]
    """From signals (…, n) to statistics (…), large where rows go together."""
    Tail = Callable[[Any], Floats]
    """From statistics to their approximate p-values."""

EXACT = 500
"""Rows up to which a suspicion is decided by permutations."""
DRAWS = 1999
"""Permutations of a decision: the smallest p-value that they can give is 1/2000."""
SUSPECT = 0.05
"""Only below this approximate p-value are permutations drawn; both p-values must then be small."""
WAVES = 4
"""Cosines along the file that describe a drift."""
STRETCHES = 4096
"""Stretches of the file on which a cosine is taken as constant."""
WINDOWS = (2, 4, 8, 16, 32, 64)
"""Numbers of neighbouring rows that may share a user, a file or a conversation."""
FEWEST = 20
"""Rows that an order check needs."""
ENOUGH = 20
"""Permutations at least as extreme as the file after which no more are drawn."""
PAIRS = 50
"""Pairs of rows with an unusual answer that a test without permutations needs."""


@dataclass(frozen=True, slots=True)
class Signals:
    """What one row answered, compared with the other rows of the same secret.

    Attributes:
        group: (n,) integers 0..g−1, the secret of a row; permutations stay within a group.
        values: (s, n) signals, each with mean 0 and variance 1 within a group, or 0 throughout it.
        secret: (n,) the secret itself as a signal, with mean 0 and variance 1 over the file.
    """

    group: Whole
    values: Floats
    secret: Floats

    def permuted(self, draws: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Return (draws, n) row numbers, permuted within groups."""
        order = np.argsort(self.group, kind="stable")
        keys = rng.random((draws, len(order))) + self.group[order]
        rows = np.empty((draws, len(order)), np.int64)
        rows[:, order] = order[np.argsort(keys, axis=1)]
        return rows


def midranks(values: Floats, group: Whole) -> Floats:
    """Return midranks within groups, with mean 0 and variance 1, and 0 where a group is constant.

    Args:
        values: (n,) numbers, ties allowed.
        group: (n,) integers 0..g−1.
    """
    n = len(values)
    order = np.lexsort((values, group))
    v, g = values[order], group[order]
    first = np.flatnonzero(np.r_[True, (v[1:] != v[:-1]) | (g[1:] != g[:-1])])
    length = np.diff(np.r_[first, n])
    rank = np.empty(n)
    rank[order] = np.repeat(first + (length - 1) / 2, length)
    return standardised(rank, group)


def standardised(values: Floats, group: Whole) -> Floats:
    """Return the values with mean 0 and variance 1 within groups; 0 where a group is constant."""
    sizes = np.maximum(np.bincount(group), 1)
    centred = values - (np.bincount(group, weights=values) / sizes)[group]
    deviation = np.sqrt(np.bincount(group, weights=centred**2) / sizes)
    scale = np.where(deviation > 1e-9 * (1 + np.abs(values).max()), deviation, np.inf)
    return np.asarray(centred / scale[group])


def drift(signals: Signals, rng: np.random.Generator) -> float:
    """Return the p-value of a drift of secrets and answers together along the file.

    Either alone breaks nothing: it is the larger p-value of the two.
    """
    n = len(signals.group)
    if n < FEWEST:
        return 1.0
    whole = np.zeros(n, np.int64)
    p = _decided(Signals(whole, signals.secret[None], signals.secret), [_waves(whole)], rng)[0]
    return p if p > SUSPECT else max(p, _decided(signals, [_waves(signals.group)], rng)[0])


def _waves(group: Whole) -> tuple[Statistic, Tail]:
    """Return the χ² of a signal along the first cosines of the file, and its tail."""
    from scipy.special import chdtrc

    n, groups = len(group), int(group.max()) + 1
    bins = min(n, STRETCHES)
    where = np.arange(n) * bins // n
    waves = np.cos(np.pi * np.outer(np.arange(1, WAVES + 1), (np.arange(bins) + 0.5) / bins))
    # A cosine counts as far as it varies within the groups: in a sorted file that is little.
    counts = np.bincount(group * bins + where, minlength=groups * bins).reshape(groups, bins)
    sizes = np.maximum(counts.sum(1), 1)
    means = counts @ waves.T / sizes[:, None]
    gram = (waves * counts.sum(0)) @ waves.T - (means.T * sizes) @ means
    inverse = np.linalg.pinv(gram, rcond=1e-6, hermitian=True)

    def statistic(values: Floats) -> Floats:
        if values.ndim == 1:
            sums = np.bincount(where, weights=values, minlength=bins)
            along = np.asarray(sums @ waves.T, np.float64)
        else:
            along = values @ waves[:, where].T
        return np.asarray((along @ inverse * along).sum(-1))

    return statistic, lambda reached: np.asarray(chdtrc(WAVES, reached))


def neighbours(signals: Signals, rng: np.random.Generator) -> tuple[float, int]:
    """Return the p-value that neighbouring rows are alike, and how many rows in a row are."""
    n = len(signals.group)
    if n < FEWEST:
        return 1.0, 0
    widths = [width for width in WINDOWS if width <= n // 4]
    p, best = _decided(signals, [_window(n, width) for width in widths], rng)
    return p, widths[best]


def _window(n: int, width: int) -> tuple[Statistic, Tail]:
    """Return Σ (width − lag)·z_i·z_(i+lag) over all pairs less than ``width`` apart."""
    lags = np.arange(1.0, width)
    variance = float(((n - lags) * (width - lags) ** 2).sum())

    def statistic(values: Floats) -> Floats:
        sums = np.zeros((*values.shape[:-1], n + 1))
        np.cumsum(values, axis=-1, out=sums[..., 1:])
        # Windows reach over both ends of the file, so that every row is in ``width`` of them.
        inner = sums[..., width:] - sums[..., :-width]
        tail = sums[..., -1:] - sums[..., -width:-1]
        squares = sum(_square(part) for part in (inner, sums[..., 1:width], tail))
        return np.asarray((squares - width * _square(values)) / 2)

    return statistic, _quadratic_tail(n, float(width), variance)


def alike_in_groups(signals: Signals, item: Whole, rng: np.random.Generator) -> float:
    """Return the p-value that rows of one item are alike.

    Args:
        signals: the answers, compared within secrets.
        item: (n,) integers 0..g−1.
        rng: for permutations.
    """
    sizes = np.bincount(item)
    n, pairs = len(item), float((sizes * (sizes - 1.0)).sum()) / 2
    if n < FEWEST or pairs == 0:
        return 1.0
    order, present = np.argsort(item, kind="stable"), sizes[sizes > 0]
    first = np.cumsum(present) - present

    def statistic(values: Floats) -> Floats:
        sums = np.add.reduceat(values[..., order], first, axis=-1)
        return np.asarray((_square(sums) - _square(values)) / 2)

    tail = _quadratic_tail(n, 1.0 + 2.0 * pairs / n, pairs)
    return _decided(signals, [(statistic, tail)], rng, pairs)[0]


def _quadratic_tail(n: int, width: float, variance: float) -> Tail:
    """Return the tail of a sum of products of pairs, of mean 0 and this variance.

    The sum of squares that it comes from, of mean n·width, is close to a χ² of as many degrees of
    freedom as its variance says (Satterthwaite).
    """
    from scipy.special import chdtrc

    freedom = (n * width) ** 2 / (2.0 * variance)

    def tail(reached: Any) -> Floats:
        relative = np.maximum(0.0, 1.0 + 2.0 * np.asarray(reached) / (n * width))
        return np.asarray(chdtrc(freedom, freedom * relative))

    return tail


def period(signals: Signals, rng: np.random.Generator) -> tuple[float, int]:
    """Return the p-value that the file repeats itself at some distance, and that distance."""
    n = len(signals.group)
    if n < 2 * FEWEST:
        return 1.0, 0
    from scipy.special import ndtr

    def tail(reached: Any) -> Floats:
        return np.asarray(np.minimum(1.0, n // 2 * ndtr(-np.asarray(reached))))

    p = _decided(signals, [(lambda values: _by_lag(values).max(-1), tail)], rng)[0]
    if p > SUSPECT:
        return p, 0
    return p, 1 + int(np.max([_by_lag(values) for values in signals.values], axis=0).argmax())


def _by_lag(values: Floats) -> Floats:
    """Return the standardised sum of products at every lag 1..n/2."""
    from scipy.fft import irfft, next_fast_len, rfft

    n = values.shape[-1]
    size = next_fast_len(n + n // 2 + 1, real=True)
    spectrum = rfft(values, size)
    power = spectrum.real**2 + spectrum.imag**2
    lags = np.arange(1, n // 2 + 1)
    return np.asarray(irfft(power, size)[..., 1 : n // 2 + 1] / np.sqrt(n - lags))


def _decided(
    signals: Signals,
    tests: Sequence[tuple[Statistic, Tail]],
    rng: np.random.Generator,
    pairs: float | None = None,
) -> tuple[float, int]:
    """Return the p-value over all tests of all signals, and the number of the test that gave it.

    In a small table the least p-value of all tests is compared with the least of permuted tables.
    The larger of the approximate and the permutation p-value is returned, so that drawing only
    where the first is small cannot raise the false alarms.
    """
    n = len(signals.group)
    pairs = float(n) if pairs is None else pairs
    used = [values for values in signals.values if values.any()]
    if n > EXACT:
        # Where few rows carry a signal, its law is not the one that many would approach.
        used = [values for values in used if pairs * (_effective(values) / n) ** 2 >= PAIRS]
    if not used:
        return 1.0, 0
    chances = np.array([[tail(statistic(values)) for statistic, tail in tests] for values in used])
    least, count = float(chances.min()), chances.size
    best = int(chances.min(0).argmin())
    p = min(1.0, least * count)
    if p > SUSPECT or n > EXACT:
        return p, best
    reached, drawn, chunk = 0, 0, max(1, 250_000 // n)
    while drawn < DRAWS and reached < ENOUGH:
        rows = signals.permuted(min(chunk, DRAWS - drawn), rng)
        drawn += len(rows)
        lowest = np.full(len(rows), np.inf)
        for values in used:
            permuted = values[rows]
            for statistic, tail in tests:
                lowest = np.minimum(lowest, tail(statistic(permuted)))
        reached += int((lowest <= least * (1 + 1e-9)).sum())
    return max(least, (reached + 1) / (drawn + 1)), best


def _square(values: Floats) -> Floats:
    return np.asarray(np.einsum("...i,...i->...", values, values))


def _effective(values: Floats) -> float:
    """Return the number of rows that carry the signal: few where most answers are equal."""
    fourth = float((values**4).sum())
    return math.inf if fourth == 0 else float((values**2).sum()) ** 2 / fourth

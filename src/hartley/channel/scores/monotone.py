"""Readers of a score: posteriors with at most k monotone pieces, fitted to counts.

I_F is the most bits that any posterior f of a family F reads from a score: the maximum over f in F
of E[log2 f(S | score) / π(S)]. F has all posteriors that, as functions of the score, are made of at
most k monotone pieces. For k = 1 the maximum on a sample is isotonic regression, which minimises
the log loss over monotone functions as it does the square; for k = 2 it is one such fit on either
side of a turning point. Scores are first put into at most ``BINS`` bins of equal numbers of rows.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

BINS = 2048
"""Most bins of a score: 2,048 lose less than a millionth of a bit of a Gaussian shift."""
SAMPLE = 1 << 18
"""Most rows that the edges of the bins are computed from."""
TURNS = 16
"""Turning points tried for two pieces: the quantiles 1/16 … 15/16 of the scores."""
LEARNED = 512
"""Most bins of a reader that learns from earlier uses."""
LEVELS = 64
"""Levels of a logistic reader."""
FEW_BINS = 1 << 18
"""Bins that a process pools before it imports ``scipy.optimize``, which takes half a second: more
than to pool those of one table without it."""
LN2 = math.log(2.0)


def edges_of(score: Array, bins: int = BINS) -> Array:
    """Return the upper edges of bins of a score, ascending: its values where these are few."""
    if len(score) > SAMPLE:
        score = score[:: -(-len(score) // SAMPLE)]
    ascending = np.sort(np.asarray(score, np.float64))
    new = np.concatenate([[True], np.diff(ascending) > 0])
    if int(new.sum()) <= bins:
        return np.asarray(ascending[new])
    last = np.arange(1, bins + 1) * len(ascending) // bins - 1
    return np.unique(ascending[last])


def place(score: Array, edges: Array) -> Whole:
    """Return the bin of each score; what lies above the last edge is in the last bin."""
    return np.asarray(np.minimum(np.searchsorted(edges, score), len(edges) - 1), np.int64)


def class_table(truth: Whole, where: Whole, bins: int, weight: Array | None = None) -> Array:
    """Return the weight of secrets 0 and 1 in each bin, (bins, 2)."""
    table = np.bincount(where * 2 + truth, weights=weight, minlength=2 * bins)
    return np.asarray(table.reshape(bins, 2), np.float64)


def balanced(table: Array) -> Array:
    """Return the table with both secrets weighing ½: the uniform prior."""
    return np.asarray(table / (2.0 * np.maximum(table.sum(0), 1e-300)))


def bits_of(table: Array, posterior: Array) -> float:
    """Return Σ weight · log2 2f: the bits that a posterior reads from a balanced table."""
    from scipy.special import xlogy

    ones, zeros = table[:, 1], table[:, 0]
    return float((xlogy(ones, 2.0 * posterior) + xlogy(zeros, 2.0 * (1.0 - posterior))).sum()) / LN2


def fit_posterior(table: Array, pieces: int) -> Array:
    """Return the posterior of secret 1 in each bin that reads the most bits of the table.

    Args:
        table: (bins, 2) weights of the secrets.
        pieces: k = 1 or 2 monotone pieces.
    """
    rates, weight = _rates(table)
    if len(rates) <= pieces + 1:  # any function of these few bins has at most k monotone pieces
        return np.asarray(rates)
    best = max(
        (_isotonic(rates, weight, up) for up in (True, False)), key=lambda f: bits_of(table, f)
    )
    if pieces == 1:
        return best
    value, cum = bits_of(table, best), np.cumsum(weight)
    turns = np.unique(np.searchsorted(cum, cum[-1] * np.arange(1, TURNS) / TURNS))
    for turn in turns[(turns > 0) & (turns < len(table))].tolist():
        left, right = slice(None, turn), slice(turn, None)
        for up in (True, False):
            posterior = np.concatenate(
                [
                    _isotonic(rates[left], weight[left], up),
                    _isotonic(rates[right], weight[right], not up),
                ]
            )
            if (bits := bits_of(table, posterior)) > value + 1e-12:
                best, value = posterior, bits
    return best


def smoothed(table: Array, posterior: Array, rows: float) -> Array:
    """Return a fitted posterior with Krichevsky–Trofimov's ½ added to each level, still monotone.

    Args:
        table: (bins, 2) weights that sum to 1.
        posterior: (bins,) the fit of ``fit_posterior``, whose levels are runs of equal values.
        rows: how many rows the table stands for.
    """
    starts = np.concatenate([[0], np.flatnonzero(np.diff(posterior)) + 1])
    ones = np.add.reduceat(table[:, 1], starts) * rows
    total = np.add.reduceat(table.sum(1), starts) * rows
    level = (ones + 0.5) / (total + 1.0)
    # A thin level is drawn to ½ more than its neighbour: within each piece the order is restored.
    steps = np.sign(np.diff(posterior[starts]))
    cut = np.flatnonzero(np.diff(steps)) + 1 if len(steps) > 1 else np.empty(0, np.int64)
    for part in np.split(np.arange(len(level)), cut + (len(cut) > 0)):
        if len(part) > 1:
            up = bool(posterior[starts[part[-1]]] > posterior[starts[part[0]]])
            rise = np.diff(level[part])
            if (rise < 0).any() if up else (rise > 0).any():
                level[part] = _isotonic(level[part], total[part], up)
    return np.repeat(level, np.diff(np.concatenate([starts, [len(posterior)]])))


def logistic(table: Array, rows: float) -> Array:
    """Return a logistic posterior in the normal score of the bins' ranks: a smooth reader."""
    from scipy.special import expit, ndtri

    weight = table.sum(1)
    total = float(weight.sum())
    x = ndtri(np.clip((np.cumsum(weight) - weight / 2) / total, 1e-6, 1.0 - 1e-6))
    ones, level, slope = table[:, 1] * rows, 0.0, 0.0
    weight = weight * rows
    for _ in range(8):  # Newton's steps for the two numbers, held back by a prior of variance 2
        p = expit(level + slope * x)
        residual, curve = ones - weight * p, weight * p * (1.0 - p)
        bent = curve * x
        up, right = residual.sum() - 0.5 * level, residual @ x - 0.5 * slope
        a, b, c = curve.sum() + 0.5, bent.sum(), bent @ x + 0.5
        determinant = a * c - b * b
        steps = (c * up - b * right) / determinant, (a * right - b * up) / determinant
        level, slope = level + steps[0], slope + steps[1]
        if max(map(abs, steps)) < 1e-9:
            break
    # Few levels, which cost nothing (1/64 of the slope's range) and keep sums over a cluster cheap.
    line = level + slope * x
    height = max(float(line.max() - line.min()), 1e-9) / LEVELS
    inside = 0.5 / (rows + 1.0)
    return np.asarray(np.clip(expit(np.round(line / height) * height), inside, 1.0 - inside))


@dataclass(frozen=True, slots=True)
class Reader:
    """A posterior of secret 1 as a step function of the score.

    Attributes:
        edges: (bins,) upper edges, ascending.
        posterior: (bins,) chance of secret 1 in each bin, within (0, 1).
    """

    edges: Array
    posterior: Array

    def gain(self, score: Array, secret: int | Whole) -> Array:
        """Return log2 2f(secret | score) of each score, in bits."""
        where = place(score, self.edges)
        return np.where(np.asarray(secret) == 1, self.levels(1)[where], self.levels(0)[where])

    def levels(self, secret: int) -> Array:
        """Return log2 2f(secret | bin) of each bin, in bits."""
        f = self.posterior if secret else 1.0 - self.posterior
        return np.asarray(np.log2(2.0 * f))


def readers(
    truth: Whole, score: Array, weight: Array, rows: float, pieces: int
) -> tuple[Reader, ...]:
    """Return readers fitted to rows: a logistic one and one for each number of pieces.

    Args:
        truth, score: (n,) rows.
        weight: (n,) weights of the rows; the secrets are balanced here.
        rows: how many rows of both secrets they are worth.
        pieces: 1, or 2 for a third reader with a turning point.
    """
    edges = edges_of(score, LEARNED)
    table = balanced(class_table(truth, place(score, edges), len(edges), weight))
    fits = [smoothed(table, fit_posterior(table, k), rows) for k in range(1, pieces + 1)]
    return tuple(Reader(edges, f) for f in (logistic(table, rows), *fits))


def _rates(table: Array) -> tuple[Array, Array]:
    weight = table.sum(1)
    return np.where(weight > 0, table[:, 1] / np.where(weight > 0, weight, 1.0), 0.5), weight


@dataclass(slots=True)
class _Pooled:
    """How many bins were pooled in this process."""

    bins: int = 0


_pooled = _Pooled()


def _isotonic(rates: Array, weight: Array, increasing: bool) -> Array:
    """Return the weighted isotonic regression of rates, within 0 … 1."""
    weight = np.maximum(weight, 1e-300)
    _pooled.bins += len(rates)
    if "scipy.optimize" not in sys.modules and _pooled.bins <= FEW_BINS:
        turn = 1 if increasing else -1
        fit = pooled(rates[::turn], weight[::turn])[::turn]
    else:
        from scipy.optimize import isotonic_regression

        fit = isotonic_regression(rates, weights=weight, increasing=increasing).x
    return np.asarray(np.clip(fit, 0.0, 1.0), np.float64)


def pooled(rates: Array, weight: Array) -> Array:
    """Return the increasing isotonic regression, by pooling adjacent violators.

    Step by step that of ``scipy.optimize.isotonic_regression``, so that the numbers are the same.

    Args:
        rates: (n,) values, n at least 1.
        weight: (n,) weights above 0.
    """
    values, weights = rates.tolist(), weight.tolist()
    ends, n, i = [1], len(values), 1
    level, mass = values[:1], weights[:1]
    while i < n:
        value, heavy = values[i], weights[i]
        if level[-1] >= value:
            last, before = level.pop(), mass.pop()
            ends.pop()
            total = before * last + heavy * value
            heavy += before
            value = total / heavy
            while i < n - 1 and value >= values[i + 1]:
                i += 1
                total += weights[i] * values[i]
                heavy += weights[i]
                value = total / heavy
            while level and level[-1] >= value:
                last, before = level.pop(), mass.pop()
                ends.pop()
                total += before * last
                heavy += before
                value = total / heavy
        level.append(value)
        mass.append(heavy)
        i += 1
        ends.append(i)
    return np.repeat(np.asarray(level, np.float64), np.diff([0, *ends]))

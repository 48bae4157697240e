"""What the last attack of a chain gains from those before it, victim by victim."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds.degenerate_intervals import skewed_mean_limits
from hartley.channel.compare import same_questions
from hartley.channel.log_gain import log_gain
from hartley.channel.measure import measure
from hartley.channel.trials.validate import measured_rows
from hartley.core import AnswerForm, Trials
from hartley.infotheory.channel_matrix import mutual_information
from hartley.infotheory.compositions import confusion

if TYPE_CHECKING:
    from numpy.typing import NDArray

FEWEST_VICTIMS = 8
"""Victims in each arm from which a gain has an interval."""


def gain(before: Trials, after: Trials, *, alpha: float = 0.05) -> dict[str, Any]:
    """Compare an attack at the end of a chain with the same attack alone or after a control.

    Both arms were dealt from one seed: the same secrets, and victims trained from the same first
    weights. Intervals are over victims, the same ones in both arms: of the difference as of two
    runs that are compared, of the quotient by Fieller's theorem (``channel.log_gain``).

    Args:
        before: trials of the last attack alone, or after the chain's control.
        after: trials of the chain.
        alpha: error level of the intervals.

    Returns:
        ``bits``: difference of the bits per use, and ``ratio``: their quotient, each
        {value, low, high, n}, n the number of victims; ``auc``: mean difference of the victims'
        AUC with its interval, for scores; ``log``: the gain as a logarithm, or as a difference
        where nothing is certified without the loot, with its p-values. There a quotient is absent,
        and intervals are where there are fewer than 8 victims.
    """
    clean, chained = (measured_rows(trials) for trials in (before, after))
    read = [measure(trials).bits for trials in (clean, chained)]
    below, above = (bits.value for bits in read)
    victims = np.unique(clean.cluster if clean.cluster is not None else np.arange(len(clean)))
    quotient = log_gain(
        clean,
        chained,
        (below, above),
        certified=read[0].lower,
        paired=same_questions(clean, chained),
        alpha=alpha,
    )
    more = quotient.difference
    limits = more.ends(alpha / 2) if math.isfinite(more.error) else (None, None)
    enough = len(victims) >= FEWEST_VICTIMS
    gains: dict[str, Any] = {
        "bits": _interval(above - below, alpha, len(victims)),
        "ratio": None,
        "auc": None,
        "log": {
            **{name: getattr(quotient, name) for name in ("scale", "value", "low", "high", "why")},
            "p_above": quotient.p_above,
            "p_below": quotient.p_below,
            "n": len(victims),
            "alpha": alpha,
        },
    }
    if enough:
        gains["bits"] |= dict(zip(("low", "high"), limits, strict=True))
    if quotient.scale == "log2" and below > 0:
        ends = [None if end is None else 2.0**end for end in (quotient.low, quotient.high)]
        gains["ratio"] = _interval(above / below, alpha, len(victims))
        gains["ratio"] |= dict(zip(("low", "high"), ends if enough else (None, None), strict=True))
    if (
        clean.cluster is None
        or chained.cluster is None
        or not np.array_equal(clean.cluster, chained.cluster)
    ):
        return gains
    if clean.spec.form is AnswerForm.SCORE and len(victims) > 1:
        gains["auc"] = auc_gain(clean, chained, alpha=alpha)
    return gains


def auc_gain(before: Trials, after: Trials, *, alpha: float = 0.05) -> dict[str, Any]:
    """Return the mean over victims of the difference of their AUC, with its interval.

    Where the AUC is near 1 in one arm the differences are skewed, which the interval allows for.
    How it covers: ``bench/edge_intervals.py``.

    Args:
        before, after: scores of two arms of the same victims, two or more.
        alpha: error level of the interval.
    """
    assert before.cluster is not None
    victims = np.unique(before.cluster)
    gaps = np.array([_auc(after, v) - _auc(before, v) for v in victims])
    low, high = skewed_mean_limits(gaps, alpha / 2, least=-1.0, most=1.0)
    return {"value": float(gaps.mean()), "low": low, "high": high, "n": len(victims)}


def product(trials: Trials, *, alpha: float = 0.05) -> dict[str, Any] | None:
    """Return the bits of the product of two stages' matrices, an estimate; None without the first.

    The first matrix is from the secret to what was read of the loot (``observed``), the second from
    there to what was received. Their product is the chain if what is received depends on the loot
    alone (Markov). The quantity is the bits of the product of both matrices as they are over all
    victims. The value and its t interval are those of the jackknife over victims, which takes away
    most of what few trials add; the upper end is that of the bits or of their root, whichever is
    larger. How they cover: ``bench/edge_intervals.py``.

    Args:
        trials: of the chain, symbols with the column ``observed``.
        alpha: error level of the interval.

    Returns:
        {value, low, high, n, alpha}; no ends with fewer than 8 victims.
    """
    rows = measured_rows(trials)
    observations, clusters, size = rows.observed, rows.cluster, rows.spec.alphabet
    if observations is None or clusters is None or rows.spec.form is not AnswerForm.SYMBOL:
        return None

    def bits(use: NDArray[Any]) -> float:
        truth, observed, guess = rows.truth[use], observations[use], rows.guess[use]
        if len(np.unique(truth)) < size:
            return math.nan
        first = confusion(truth, np.where(observed == size, -1, observed), size, size)
        # A symbol that was never read needs no law of what follows it.
        symbols = np.unique(observed)
        second = np.full((size + 1, size + 1), 1 / (size + 1))
        second[symbols] = confusion(np.searchsorted(symbols, observed), guess, len(symbols), size)
        return mutual_information(first @ second)

    from scipy.special import stdtrit

    everyone, victims = np.ones(len(rows), dtype=bool), np.unique(clusters)
    g, whole = len(victims), bits(everyone)
    without = np.array([bits(clusters != victim) for victim in victims])
    if g < FEWEST_VICTIMS or not np.isfinite([whole, *without]).all():
        return None if math.isnan(whole) else _interval(whole, alpha, g)
    value = float(np.clip(g * whole - (g - 1) * without.mean(), 0.0, math.log2(size)))
    reach = float(stdtrit(g - 1, 1 - alpha / 2)) * math.sqrt(g - 1)
    width = reach * float(without.std())
    # Few bits are as the square of what carries them, so that their law is skewed and its root not.
    root = math.sqrt(value) + reach * float(np.sqrt(without).std())
    high = min(math.log2(size), max(value + width, root**2))
    ends = {"low": max(0.0, value - width), "high": high}
    return _interval(value, alpha, g) | ends


def _auc(trials: Trials, victim: int) -> float:
    rows = np.flatnonzero(trials.cluster == victim)
    truth, score = trials.truth[rows], trials.guess[rows]
    high, low = score[truth == 1], np.sort(score[truth == 0])
    if not len(high) or not len(low):
        return 0.5
    below = np.searchsorted(low, high, "left") + np.searchsorted(low, high, "right")
    return float(below.mean() / (2 * len(low)))


def _interval(value: float, alpha: float, n: int) -> dict[str, Any]:
    return {"value": float(value), "low": None, "high": None, "n": n, "alpha": alpha}

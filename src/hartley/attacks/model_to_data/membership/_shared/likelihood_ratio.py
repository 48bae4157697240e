"""The likelihood ratio of RMIA, exact where probabilities round to 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

TINY = 1e-300
"""Probabilities below this are raised to it before the logarithm."""


def log_ratio(
    victim: NDArray[Any],
    shadow: NDArray[Any],
    out: NDArray[np.bool_],
    online: bool,
    a: float,
    *,
    labelled: bool,
) -> NDArray[np.float64]:
    """Return ln Pr(x|victim) − ln Pr(x), (n,).

    Where all probabilities round to 1, all ratios round to 1 too. So what they
    lack to 1 is computed beside them: it keeps its order however small it is.

    Args:
        victim: (n,) confidences of the victim: log-odds of the label, or else log-probabilities.
        shadow: (K, n) those of the reference models.
        out: (K, n) booleans, which of them were trained without the record.
        online: Pr(x) is the mean of models with and without the record.
        a: else its correction.
        labelled: whether confidences are log-odds.
    """
    probability, rest = _probability(shadow, labelled)
    missing, missing_rest = _mean(probability, out), _mean(rest, out)
    if online:
        prior = (missing + _mean(probability, ~out)) / 2
        prior_rest = (missing_rest + _mean(rest, ~out)) / 2
    else:
        prior, prior_rest = ((1 + a) * missing + (1 - a)) / 2, (1 + a) / 2 * missing_rest
    return _log(*_probability(victim, labelled)) - _log(prior, prior_rest)


def _probability(
    confidence: NDArray[Any], labelled: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probability of the true answer and what it lacks to 1, both of full precision."""
    if not labelled:
        return np.exp(confidence), -np.expm1(confidence)
    return np.exp(-np.logaddexp(0, -confidence)), np.exp(-np.logaddexp(0, confidence))


def _log(probability: NDArray[Any], rest: NDArray[Any]) -> NDArray[np.float64]:
    """Return ln p (n,), from whichever of p and 1 − p is the smaller."""
    of_small = np.log(np.maximum(probability, TINY))
    return np.asarray(np.where(probability < 0.5, of_small, np.log1p(-np.minimum(rest, 0.75))))


def _mean(values: NDArray[Any], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the mean (n,) over the models (K, n) that are chosen."""
    return np.asarray(np.where(chosen, values, 0).sum(0) / np.maximum(chosen.sum(0), 1))

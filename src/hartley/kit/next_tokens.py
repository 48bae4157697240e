"""Log-probabilities of the likeliest next tokens, with a bias on some logits: what APIs give.

How many they give at most, and the largest bias that they take, are facts of a model: an endpoint
declares them, nobody guesses them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = "log-probabilities a token"
"""Fact of a model: how many of the likeliest next tokens ``top_logprobs`` gives at most."""

BIAS = "largest bias"
"""Fact of a model: the largest number that a request may add to a logit; 0 for none."""


def limits(facts: Mapping[str, Any]) -> tuple[int, float]:
    """Return how many log-probabilities a model gives at most, and the largest bias."""
    return int(facts.get(MOST, 0)), float(facts.get(BIAS, 0.0))


def likeliest(
    logits: NDArray[Any], k: int, biased: NDArray[Any], bias: float
) -> NDArray[np.float64]:
    """Return (n, k, 2): ids and log-probabilities of the k likeliest tokens, the likeliest first.

    Args:
        logits: (n, vocabulary).
        k: how many; all, where there are fewer tokens.
        biased: (n, m) token ids whose logits are raised, padded with −1.
        bias: by how much.
    """
    scores = np.array(logits, dtype=np.float64)
    rows, columns = np.nonzero(np.asarray(biased) >= 0)
    scores[rows, np.asarray(biased)[rows, columns]] += bias
    scores -= scores.max(1, keepdims=True)
    scores -= np.log(np.exp(scores).sum(1, keepdims=True))
    k = min(k, scores.shape[1])
    some = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    values = np.take_along_axis(scores, some, 1)
    order = np.lexsort((some, -values), axis=1)
    ids, values = np.take_along_axis(some, order, 1), np.take_along_axis(values, order, 1)
    return np.stack([ids.astype(np.float64), values], -1)

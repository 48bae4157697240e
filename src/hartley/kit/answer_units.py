"""Answers of a classifier in one unit, be they probabilities, logits or labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Output
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOOR = 1e-300
"""Probabilities below this are raised to it before the logarithm."""


def zero_floor(answers: NDArray[Any], least: float) -> float:
    """Return what probabilities of exactly 0 are raised to before a logarithm.

    A forest of 100 trees answers in hundredths, a rounded answer in its last digit: 0 means less
    than one such step. So it is half of the smallest answer between 0 and 1, which keeps the
    log-odds of a saturated answer near the others; a much smaller floor would make it an outlier
    that all variances are made of.

    Args:
        answers: probabilities of any shape, of one model.
        least: returned where no answer is 0, where none is between 0 and 1, and at least.
    """
    scores = np.asarray(answers, dtype=np.float64)
    between = scores[(scores > 0) & (scores < 1)]
    if not between.size or scores.min() > 0:
        return least
    return max(least, float(between.min()) / 2)


def probabilities(answers: NDArray[Any], output: Output, classes: int) -> NDArray[np.float32]:
    """Return answers as probabilities (n, classes), float32 rows that sum to 1.

    Args:
        answers: (n, classes) scores, or (n,) labels.
        output: their units, ``view.model.output``.
        classes: ``view.model.classes``; only read for labels.
    """
    if output is Output.LABELS:
        return np.asarray(np.eye(classes, dtype=np.float32)[np.asarray(answers)])
    rows = np.asarray(answers, dtype=np.float64)
    if output is Output.LOGITS:
        rows = np.exp(rows - rows.max(1, keepdims=True))
    return np.asarray(rows / rows.sum(1, keepdims=True), dtype=np.float32)


def log_probabilities(
    answers: NDArray[Any], output: Output, *, floor: float = FLOOR
) -> NDArray[np.float64]:
    """Return the natural log-probabilities (…, classes) of scores.

    Args:
        answers: (…, classes) probabilities or logits.
        output: their units, ``view.model.output``.
        floor: probabilities below this are raised to it first.

    Raises:
        UsageError: the answers are labels or embeddings, which have no probabilities.
    """
    scores = np.asarray(answers, dtype=np.float64)
    if output is Output.PROBABILITIES:
        return np.asarray(np.log(np.maximum(scores, floor)))
    if output is not Output.LOGITS:
        raise UsageError(f"answers must be scores of classes for log-probabilities, got {output}")
    scores = scores - scores.max(-1, keepdims=True)
    others = np.exp(scores)
    np.put_along_axis(others, scores.argmax(-1)[..., None], 0.0, axis=-1)
    # The likeliest class is 1 of the sum: added last, the others count however small they are.
    return np.asarray(scores - np.log1p(others.sum(-1, keepdims=True)))


def shares_of(answers: NDArray[Any], output: Output) -> NDArray[np.float64]:
    """Return scores as probabilities (…, classes) in double precision.

    Args:
        answers: (…, classes) probabilities or logits.
        output: their units.

    Raises:
        UsageError: the answers are labels or embeddings.
    """
    return np.asarray(np.exp(log_probabilities(answers, output)))


def in_units(rows: NDArray[Any], output: Output) -> NDArray[np.float64]:
    """Return probabilities (…, classes) in the units of scores: as they are, or as logarithms."""
    if output is Output.LOGITS:
        return log_probabilities(rows, Output.PROBABILITIES, floor=1e-12)
    return np.asarray(rows, dtype=np.float64)


def log_complements(logs: NDArray[Any]) -> NDArray[np.float64]:
    """Return ln(1 − p) (…, classes) from log-probabilities (…, classes) that sum to 1.

    It is exact where p rounds to 1: what the likeliest class lacks is added up from the others, in
    logarithms, so that log-odds of hundreds differ. It is −inf where all others are.
    """
    logs = np.asarray(logs, dtype=np.float64)
    top = logs.argmax(-1)[..., None]
    others = logs.copy()
    np.put_along_axis(others, top, -np.inf, axis=-1)
    most = np.maximum(others.max(-1, keepdims=True), np.finfo(np.float64).min)
    with np.errstate(divide="ignore"):
        missing = most + np.log(np.exp(others - most).sum(-1, keepdims=True))
        complements = np.log1p(-np.exp(np.minimum(logs, 0.0)))
    np.put_along_axis(complements, top, missing, axis=-1)
    return np.asarray(complements, dtype=np.float64)

"""Watermarks of texts: a key picks each token, and a test with the key reads the text alone.

The owner draws each token of a continuation with a key; a detector that has the key and the text
counts evidence over *units* that are independent when the key is random and the text was written
without it. Repeated n-grams are one unit (arXiv:2308.00113), so that p-values are exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.marker import FALSE_ALARMS, Detection

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Step:
    """What a mark knows when the owner draws the next token of b texts.

    Attributes:
        law: (b, vocabulary) the model's probabilities, float64, each row of sum 1.
        context: (b, c) the tokens before, −1 where there are none.
        keys: (b,) the key of each text.
        fresh: (b,) whether this context is new in its text.
        draws: (b,) uniform numbers of the owner's.
        messages: (b, m) bits; m = 0 for a mark that says no more than that it is there.
    """

    law: NDArray[np.float64]
    context: NDArray[np.int64]
    keys: NDArray[np.int64]
    fresh: NDArray[np.bool_]
    draws: NDArray[np.float64]
    messages: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a detector counted in one text.

    Attributes:
        units: independent units (distinct n-grams, say).
        score: the mean evidence of a unit.
        log2_p: exact log2 of the chance that a text written without the key has as much.
        least_log2_p: the smallest that so few units could give.
    """

    units: int
    score: float
    log2_p: float
    least_log2_p: float


NOTHING = Evidence(units=0, score=0.0, log2_p=0.0, least_log2_p=0.0)


@dataclass(frozen=True, slots=True)
class TextMark:
    """A watermark scheme of texts.

    Attributes:
        name: what to call it in reports.
        context: tokens before a token that its hash reads.
        choose: the owner's next tokens (b,).
        evidence: (tokens (t,), key) → what the detector counts.
        read: (tokens (t,), key, m) → (m,) reals, positive = the bit reads 1, and the evidence for
            the message that they give; None for a mark of presence only.
        facts: its parameters.
    """

    name: str
    context: int
    choose: Callable[[Step], NDArray[np.int64]]
    evidence: Callable[[NDArray[Any], int], Evidence]
    read: Callable[[NDArray[Any], int, int], tuple[NDArray[np.float64], Evidence]] | None = None
    facts: dict[str, float] = field(default_factory=dict)

    def detection(self, tokens: NDArray[Any], key: int) -> Detection:
        """Test a text (t,); tokens of −1 are padding.

        It is undecided where so few tokens could not show a mark at the owner's rate of false
        alarms, whatever they were. No text is ever called unmarked.
        """
        rows = np.asarray(tokens)
        evidence = self.evidence(rows, key)
        if evidence.least_log2_p > math.log2(FALSE_ALARMS):
            reason = f"undecided at {int((rows >= 0).sum())} tokens"
            return Detection(0.0, 0.0, evidence.units, reason)
        least = evidence.least_log2_p
        return Detection(evidence.score, evidence.log2_p, evidence.units, least_log2_p=least)


def drawn(law: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return one token of each law (b, vocabulary) at uniform numbers (b,)."""
    heap = law.cumsum(1)
    return np.asarray((heap < draws[:, None] * heap[:, -1:]).sum(1), dtype=np.int64)


def grams(tokens: NDArray[Any], context: int) -> NDArray[np.int64]:
    """Return the n-grams (n, context + 1) of a text (t,), without its padding; n may be 0."""
    row = np.asarray(tokens, dtype=np.int64)
    row = row[row >= 0]
    if len(row) <= context:
        return np.empty((0, context + 1), dtype=np.int64)
    return np.lib.stride_tricks.sliding_window_view(row, context + 1)


def firsts(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Return the places, in order, where rows (n, k), or numbers (n,), occur first."""
    if not len(rows):
        return np.empty(0, dtype=np.int64)
    if rows.ndim == 2:
        rows = _one_number(rows)
    _, first = np.unique(rows, axis=0, return_index=True)
    return np.sort(first)


def _one_number(rows: NDArray[Any]) -> NDArray[Any]:
    """Return rows of small numbers as one number each: they are sorted twenty times as fast."""
    most = int(rows.max()) + 1
    if rows.shape[1] == 0 or most ** rows.shape[1] >= 2**63:
        return rows
    out = np.zeros(len(rows), dtype=np.int64)
    for place in range(rows.shape[1]):
        out = out * most + rows[:, place]
    return out

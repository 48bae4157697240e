"""Exponential mark: the key's uniform numbers choose the token, at the model's own probabilities.

The token of largest u^(1/p), the Gumbel trick (Aaronson 2022; with a key sequence in place of a
hash, arXiv:2307.15593). Where a context comes again in a text its hash would say the same again:
there the owner draws without the key, and over keys the law of the whole text is the model's.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.infotheory.exact_tails import log2_gamma_tail
from hartley.kit.keyed_hash import hashed, uniforms
from hartley.kit.language.marks.text_mark import (
    NOTHING,
    Evidence,
    Step,
    TextMark,
    drawn,
    firsts,
    grams,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SMALLEST = 2.0**-53
"""The least 1 − u of a hash of 52 bits; the most that a token can add is −ln of it."""


def exponential(context: int = 2) -> TextMark:
    """The Gumbel mark, on a hash of the tokens before; without distortion.

    The score of a text is Σ −ln(1 − u) over first contexts: the sum of as many exponentials.

    Args:
        context: how many tokens the hash reads. More distort less often and are easier to break.
    """

    def numbers(keys: Any, rows: NDArray[Any], candidates: NDArray[Any]) -> NDArray[np.float64]:
        columns = [rows[..., place] for place in range(context)]
        return uniforms(hashed(keys, *columns, candidates))

    def choose(step: Step) -> NDArray[np.int64]:
        candidates = np.arange(step.law.shape[1])[None]
        u = numbers(step.keys[:, None], step.context[:, None, :], candidates)
        with np.errstate(divide="ignore"):
            tokens = (np.log(u) / step.law).argmax(1)
        return np.where(step.fresh, tokens, drawn(step.law, step.draws))

    def evidence(tokens: NDArray[Any], key: int) -> Evidence:
        rows = grams(tokens, context)
        rows = rows[firsts(rows[:, :-1])]
        n = len(rows)
        if not n:
            return NOTHING
        total = float(-np.log1p(-numbers(key, rows[:, :-1], rows[:, -1])).sum())
        largest = -n * math.log(SMALLEST)
        return Evidence(
            units=n,
            score=total / n,
            log2_p=log2_gamma_tail(total, n),
            least_log2_p=log2_gamma_tail(largest, n),
        )

    return TextMark("exponential", context, choose, evidence, facts={"context": context})

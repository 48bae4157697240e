"""A mark of many bits: a hash says which bit a token carries, the bit which half is green.

Positions are allocated by a hash, as in arXiv:2401.16820, and an error-correcting code protects the
message; here it is read with soft decisions, since some positions get many tokens and others few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.infotheory.surprisal import log2_binomial_tail
from hartley.kit import convolutional_code
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

HALF = 0.5


def payload(push: float = 2.0) -> TextMark:
    """A payload under a convolutional code, allocated token by token.

    Args:
        push: what is added to the logits of green tokens.
    """

    def place(keys: Any, before: NDArray[Any], coded: int) -> NDArray[np.int64]:
        return np.asarray(hashed(keys, before) % np.uint64(coded), dtype=np.int64)

    def choose(step: Step) -> NDArray[np.int64]:
        words = np.stack([convolutional_code.encode(message) for message in step.messages])
        before = step.context[:, -1]
        bits = words[np.arange(len(words)), place(step.keys, before, words.shape[1])]
        candidates = np.arange(step.law.shape[1])[None]
        upper = uniforms(hashed(step.keys[:, None], before[:, None], candidates)) >= HALF
        law = np.where(upper == bits[:, None], step.law * np.exp(push), step.law)
        return drawn(law, step.draws)

    def votes(tokens: NDArray[Any], key: int, m: int) -> tuple[NDArray[Any], NDArray[Any]]:
        rows = grams(tokens, 1)
        rows = rows[firsts(rows)]
        upper = uniforms(hashed(key, rows[:, 0], rows[:, 1])) >= HALF
        return place(key, rows[:, 0], convolutional_code.length(m)), np.where(upper, 1.0, -1.0)

    def read(tokens: NDArray[Any], key: int, m: int) -> tuple[NDArray[np.float64], Evidence]:
        places, signs = votes(tokens, key, m)
        sums = np.bincount(places, signs, convolutional_code.length(m)).astype(np.float64)
        message = convolutional_code.decode(sums, m)
        n = len(signs)
        if not n:
            return 2.0 * message - 1.0, NOTHING
        word = convolutional_code.signs(message)
        agree = int((signs == word[places]).sum())
        # Any of 2^m messages could have agreed as well: the union bound over all of them.
        log2_p = min(0.0, m + log2_binomial_tail(agree, n, HALF))
        evidence = Evidence(
            units=n, score=agree / n, log2_p=log2_p, least_log2_p=min(0.0, float(m - n))
        )
        return 2.0 * message - 1.0, evidence

    def evidence(tokens: NDArray[Any], key: int) -> Evidence:
        return read(tokens, key, BITS)[1]

    return TextMark("payload", 1, choose, evidence, read, facts={"push": push})


BITS = 16
"""Message bits that :func:`payload` looks for where none are said."""

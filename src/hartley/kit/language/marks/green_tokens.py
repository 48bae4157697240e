"""Green-list marks: a hash calls a share of the tokens green, and the owner prefers green ones.

KGW hashes the token before (arXiv:2301.10226); its self-hash also hashes the candidate itself, with
the least of four hashes (arXiv:2306.04634); Unigram hashes nothing but the candidate
(arXiv:2306.17439). Here each token is green by a coin of its own, not by a permutation of the whole
vocabulary: a detector then hashes T numbers rather than T vocabularies, and the count is exactly
binomial.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.infotheory.exact_tails import log2_weighted_tail
from hartley.infotheory.surprisal import log2_binomial_tail
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

Green = Callable[[Any, Any, Any], Any]
"""(keys (b, 1), contexts (b, 1, c), candidates (1 or b, v)) → whether each is green (b, v)."""

ANCHORS = 4
"""How many tokens the self-hash takes the least over: three before the candidate, and itself."""


def kgw(share: float = 0.25, push: float = 2.0) -> TextMark:
    """KGW with the token before as its context (``simple_1`` of arXiv:2306.04634).

    Args:
        share: of the vocabulary that is green.
        push: what is added to the logits of green tokens.
    """

    def green(
        keys: NDArray[Any], context: NDArray[Any], candidates: NDArray[Any]
    ) -> NDArray[np.bool_]:
        return uniforms(hashed(keys, context[..., -1], candidates)) < share

    def evidence(tokens: NDArray[Any], key: int) -> Evidence:
        rows = grams(tokens, 1)
        rows = rows[firsts(rows)]
        return _counted(uniforms(hashed(key, rows[:, 0], rows[:, 1])) < share, share)

    return TextMark(
        "kgw", 1, _preferring(green, push), evidence, facts={"share": share, "push": push}
    )


def self_hash(share: float = 0.25, push: float = 2.0) -> TextMark:
    """KGW whose hash reads the candidate too (``selfhash`` of arXiv:2306.04634).

    Args:
        share: of the vocabulary that is green.
        push: what is added to the logits of green tokens.
    """

    def seeds(
        keys: NDArray[Any], context: NDArray[Any], candidates: NDArray[Any]
    ) -> NDArray[np.uint64]:
        least = hashed(keys, candidates, candidates)
        for place in range(ANCHORS - 1):
            least = np.minimum(least, hashed(keys, context[..., place], candidates))
        return least

    def green(
        keys: NDArray[Any], context: NDArray[Any], candidates: NDArray[Any]
    ) -> NDArray[np.bool_]:
        return uniforms(hashed(keys, seeds(keys, context, candidates))) < share

    def evidence(tokens: NDArray[Any], key: int) -> Evidence:
        rows = grams(tokens, ANCHORS - 1)
        # Places whose least hash is the same are one coin, whatever else is around them.
        distinct = np.unique(seeds(np.asarray(key), rows[:, :-1], rows[:, -1]))
        return _counted(uniforms(hashed(key, distinct)) < share, share)

    return TextMark(
        "self_hash",
        ANCHORS - 1,
        _preferring(green, push),
        evidence,
        facts={"share": share, "push": push},
    )


def unigram(share: float = 0.5, push: float = 2.0, most: int = 4) -> TextMark:
    """Unigram: one green list for all places.

    A token that occurs again is the same coin: it counts as often as it occurs, up to ``most``
    times, and the law of the sum is that of coins with those weights.

    Args:
        share: of the vocabulary that is green.
        push: what is added to the logits of green tokens.
        most: how often one token counts at most.
    """

    def green(
        keys: NDArray[Any], context: NDArray[Any], candidates: NDArray[Any]
    ) -> NDArray[np.bool_]:
        del context
        return uniforms(hashed(keys, candidates)) < share

    def evidence(tokens: NDArray[Any], key: int) -> Evidence:
        row = np.asarray(tokens)
        types, counts = np.unique(row[row >= 0], return_counts=True)
        if not len(types):
            return NOTHING
        weights = np.minimum(counts, most)
        total, observed = (
            int(weights.sum()),
            int(weights[uniforms(hashed(key, types)) < share].sum()),
        )
        return Evidence(
            units=len(types),
            score=observed / total,
            log2_p=log2_weighted_tail(weights, observed, share),
            least_log2_p=log2_binomial_tail(len(types), len(types), share),
        )

    return TextMark(
        "unigram", 0, _preferring(green, push), evidence, facts={"share": share, "push": push}
    )


def _preferring(green: Green, push: float) -> Callable[[Step], NDArray[np.int64]]:
    def choose(step: Step) -> NDArray[np.int64]:
        candidates = np.arange(step.law.shape[1])[None]
        preferred = green(step.keys[:, None], step.context[:, None, :], candidates)
        law = np.where(preferred, step.law * np.exp(push), step.law)
        return drawn(law, step.draws)

    return choose


def _counted(green: NDArray[np.bool_], share: float) -> Evidence:
    n, count = len(green), int(green.sum())
    if not n:
        return NOTHING
    return Evidence(
        units=n,
        score=count / n,
        log2_p=log2_binomial_tail(count, n, share),
        least_log2_p=log2_binomial_tail(n, n, share),
    )

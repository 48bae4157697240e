"""N-gram coverage: does a model that is given a text's beginning write its end?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.membership.membership import MembershipBrief, membership
from hartley.kit.language.text import PAD, lengths
from hartley.kit.language.tokens import claims

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SHORTEST = 2
"""Tokens of a continuation at least, however many texts share the budget."""


@attack(
    game=membership,
    access=Access.LABELS,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2508.09603",
    sweep={"by": ("max",)},
)
def ngram_coverage(
    view: View[MembershipBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1), Stronger.MORE] = 16,
    prefix: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 0.5,
    tokens: Annotated[int, Range(2), Stronger.MORE] = 32,
    longest: Annotated[int, Range(1)] = 12,
    by: Literal["mean", "max"] = "mean",
    most: Annotated[int, Range(1), Stronger.MORE] = 30_000,
) -> Outcome:
    """Sample continuations of each text's beginning, and count the n-grams of its own end in them.

    The attack needs generated text but no scores. The score of a continuation is the paper's
    creativity index: the share of the end's tokens that an n-gram of the continuation covers,
    summed over n = 1 … ``longest``.

    Args:
        samples: continuations of each text.
        prefix: share of a text that the model is given.
        tokens: tokens of a continuation, and of the end that it is compared with, at most.
        longest: n of the longest n-grams.
        by: how the scores of a text's continuations are joined.
        most: tokens to generate at most; with many texts there are fewer continuations of each,
            then shorter ones.
    """
    question, generate = view.brief.question, view.model.calls["generate"]
    rows = np.asarray(question.x, dtype=np.int64)
    sizes = lengths(rows)
    given = np.clip(np.rint(prefix * sizes).astype(np.int64), 1, np.maximum(sizes - 1, 1))
    width = int(np.clip(sizes - given, 1, tokens).max())
    width = min(width, max(SHORTEST, most // len(rows)))
    count = int(np.clip(most // (len(rows) * width), 1, samples))
    places = np.arange(rows.shape[1])
    beginnings = np.where(places < given[:, None], rows, PAD)
    generated = generate(np.repeat(beginnings, count, axis=0), width, int(rng.integers(2**31)))
    scores = np.empty((len(rows), count))
    for i, texts in enumerate(np.asarray(generated).reshape(len(rows), count, width)):
        end = rows[i, given[i] : sizes[i]][:width]
        scores[i] = coverage(end, texts, longest) if len(end) else 0.0
    guess = scores.max(1) if by == "max" else scores.mean(1)
    return Outcome(guess=guess, asset=claims(question, guess))


def coverage(end: NDArray[Any], texts: NDArray[Any], longest: int) -> NDArray[np.float64]:
    """Return the creativity index (k,) of texts (k, t) against an end (s,) of at least a token.

    A token of the end counts n times if the longest span around it that is in the text, too, has
    n tokens, up to ``longest``: that is the share of covered tokens, summed over n.
    """
    same = np.asarray(end)[None, :, None] == np.asarray(texts)[:, None, :]
    before, after = _runs(same), _runs(same[:, ::-1, ::-1])[:, ::-1, ::-1]
    spans = np.where(same, before + after - 1, 0).max(2)
    return np.asarray(np.minimum(spans, longest).mean(1))


def _runs(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return how many matches (k, s, t) in a row along the diagonal end at each place."""
    out = same.astype(np.int64)
    for at in range(1, same.shape[1]):
        out[:, at, 1:] = np.where(same[:, at, 1:], out[:, at - 1, :-1] + 1, 0)
    return out

"""Prefix completion: generate continuations of a canary's prefix, and count the secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.memorization import text_canaries
from hartley.games.memorization.canaries import write
from hartley.games.memorization.memorization import MemorizationBrief, memorization
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=memorization,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2410.19482",
    adapts=True,
)
def prefix_completion(
    view: View[MemorizationBrief],
    rng: Rng,
    *,
    samples: Annotated[int, Range(1), Stronger.MORE] = 64,
) -> Outcome:
    """Rank candidates by how often greedy and sampled continuations of the prefix produce them.

    The attack needs generated text but no scores. Candidates that were never produced are ranked by
    how often each of their digits occurred at its position. Besides the ranks, the auditor computes
    from the victim's answers the (n, p) curve (which secrets n samples contain with probability
    p = ½) and b of (l, b)-inextractability (arXiv:2604.18697). An adaptive attacker who knows that
    the decoder refuses training text (memfree) searches for the digits that are never generated.

    Args:
        samples: sampled continuations per canary, besides the greedy one.
    """
    question, length = view.brief.question, view.brief.length
    generate = view.model.calls["generate"]
    symbols = view.brief.symbols
    if any(d.name == "memfree" for d in view.defenses):
        per_digit = max(1, samples // 4)
        seeds = rng.integers(0, 2**31, len(question)).tolist()
        rows = [text.append(np.repeat(p[None], 10, axis=0), symbols[:, None]) for p in question.x]
        generated = [
            generate(np.repeat(row, per_digit, axis=0), max(1, length - 1), seed)
            for row, seed in zip(rows, seeds, strict=True)
        ]
        guess = np.stack([text_canaries.refusal_scores(h, symbols, length) for h in generated])
        return Outcome(guess=guess, asset=_loot(question, guess))
    new = text_canaries.generated_length(question)
    greedy = generate(question.x, new, -1)
    sampled = generate(np.repeat(question.x, samples, axis=0), new, int(rng.integers(2**31)))
    greedy, sampled = (text_canaries.without_gaps(x, question) for x in (greedy, sampled))
    continuations = sampled.reshape(len(question), samples, length)
    guess = np.stack(
        [
            _score(np.concatenate([g[None], d]), symbols, view.brief.candidates)
            for g, d in zip(greedy, continuations, strict=True)
        ]
    )
    return Outcome(guess=guess, asset=_loot(question, guess))


def _loot(question: Data, guess: NDArray[np.float64]) -> Data:
    records = write(question, guess.argmax(1))
    return Data("secrets read", question.modality, records, role="secrets", facts={"sampled": True})


def _score(
    texts: NDArray[np.int64], symbols: NDArray[np.int64], candidates: int
) -> NDArray[np.float64]:
    """Return scores (R,) of all candidates: counts of whole numbers, then of single digits.

    Args:
        texts: (samples, length) continuations; the greedy one is first and decides ties.
        symbols: (10,) the token of each digit.
        candidates: R.
    """
    length = texts.shape[1]
    hit = texts[:, :, None] == symbols
    complete = hit.any(2).all(1)
    numbers = (hit.argmax(2) * 10 ** np.arange(length - 1, -1, -1)).sum(1)
    weight = np.ones(len(texts))
    weight[0] = 1.5
    counts = np.bincount(numbers[complete], weights=weight[complete], minlength=candidates)
    places = (hit.sum(0) + 0.5) / (len(texts) + 5.0)
    chance = np.ones(1)
    for place in places:
        chance = (chance[:, None] * place).reshape(-1)
    return np.asarray(counts + 0.5 * chance / chance.max())

"""Prefix completion: let the model go on from the canary's beginning, and count what it says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
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
    view: View[MemorizationBrief], rng: Rng, *, samples: Annotated[int, Range(1)] = 64
) -> Outcome:
    """Rank candidates by how often greedy and sampled continuations of the prefix produce them.

    It needs no scores, only text. What was never produced is ranked by how often each of its
    digits came in its place. Beside the ranks the auditor computes, from the victim's own answers,
    the (n, p) curve (which secrets n samples give with chance p = ½) and b of
    (l, b)-inextractability (arXiv:2604.18697). Who knows that the decoder refuses training text
    (memfree) asks, digit by digit, which one never comes.

    Args:
        samples: sampled continuations a canary, besides the greedy one.
    """
    asked, length = view.brief.question, view.brief.length
    generate = view.model.calls["generate"]
    symbols = view.brief.symbols
    if any(d.name == "memfree" for d in view.defenses):
        few = max(1, samples // 4)
        seeds = rng.integers(0, 2**31, len(asked)).tolist()
        rows = [text.append(np.repeat(p[None], 10, axis=0), symbols[:, None]) for p in asked.x]
        heard = [
            generate(np.repeat(row, few, axis=0), max(1, length - 1), seed)
            for row, seed in zip(rows, seeds, strict=True)
        ]
        guess = np.stack([text_canaries.silence(h, symbols, length) for h in heard])
        return Outcome(guess=guess, asset=_loot(asked, guess))
    greedy = generate(asked.x, length, -1)
    said = generate(np.repeat(asked.x, samples, axis=0), length, int(rng.integers(2**31)))
    drawn = said.reshape(len(asked), samples, length)
    guess = np.stack(
        [
            _score(np.concatenate([g[None], d]), symbols, view.brief.candidates)
            for g, d in zip(greedy, drawn, strict=True)
        ]
    )
    return Outcome(guess=guess, asset=_loot(asked, guess))


def _loot(asked: Data, guess: NDArray[np.float64]) -> Data:
    read = write(asked, guess.argmax(1))
    return Data("secrets read", asked.modality, read, role="secrets", facts={"sampled": True})


def _score(
    said: NDArray[np.int64], symbols: NDArray[np.int64], candidates: int
) -> NDArray[np.float64]:
    """Score (R,) of all candidates: counts of whole numbers, then of digits in their places.

    Args:
        said: (samples, length) continuations, the greedy one first: it settles ties of the counts.
        symbols: (10,) the token of each digit.
        candidates: R.
    """
    length = said.shape[1]
    hit = said[:, :, None] == symbols
    whole = hit.any(2).all(1)
    numbers = (hit.argmax(2) * 10 ** np.arange(length - 1, -1, -1)).sum(1)
    weight = np.ones(len(said))
    weight[0] = 1.5
    counts = np.bincount(numbers[whole], weights=weight[whole], minlength=candidates)
    places = (hit.sum(0) + 0.5) / (len(said) + 5.0)
    chance = np.ones(1)
    for place in places:
        chance = (chance[:, None] * place).reshape(-1)
    return np.asarray(counts + 0.5 * chance / chance.max())

"""Exposure: how likely the model finds every candidate, ranked (the Secret Sharer)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Access, Data, Modality, Move, Outcome, View, attack
from hartley.games.memorization import memorization, write
from hartley.kit import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=memorization,
    needs=Access.SCORES,
    moves=Move.NOISE,
    fits=(Modality.LANGUAGE,),
    paper="arXiv:1802.08232",
)
def exposure(view: View, rng: Rng, *, temperature: float = 1.0) -> Outcome:
    """Score every candidate secret by its likelihood after the canary's beginning.

    Candidates share their beginnings, so that R = 10^k of them need only (R − 1)/9 questions: one
    for every number of fewer than k digits.

    Args:
        temperature: divides the log-probabilities of a token before they are added up.
    """
    del rng
    asked = view.question
    assert asked is not None
    length, symbols = int(view.facts["length"]), np.asarray(asked.facts["symbols"])
    stems = _stems(length, symbols)
    scores = []
    for prefix in asked.x:
        contexts = text.append(np.repeat(prefix[None], len(stems), axis=0), stems)
        answers = text.log_probabilities(view.model.query(contexts), view.model.output)
        scores.append(_add_up(answers[:, symbols] / temperature, length))
    guess = np.stack(scores)
    best = Data("secrets read", asked.modality, write(asked, guess.argmax(1)), role="secrets")
    return Outcome(guess=guess, asset=best)


def _stems(length: int, symbols: NDArray[np.int64]) -> NDArray[np.int64]:
    """All numbers of fewer than ``length`` digits as tokens, short ones first, padded with −1."""
    rows: list[list[int]] = []
    for digits in range(length):
        for number in range(10**digits):
            named = f"{number:0{digits}d}" if digits else ""
            rows.append([int(symbols[int(c)]) for c in named])
    return text.pad(rows)


def _add_up(steps: NDArray[np.float64], length: int) -> NDArray[np.float64]:
    """Log-likelihoods (R,) of all numbers from those of each digit after each stem."""
    total, at = np.zeros(1), 0
    for digits in range(length):
        level = steps[at : at + 10**digits]
        total, at = (total[:, None] + level).reshape(-1), at + 10**digits
    return total

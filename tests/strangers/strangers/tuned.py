"""Attacks on membership that sweep a setting: one finds what to read, one has nothing to find."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, attack
from hartley.games.membership.membership import membership


def _answer(view, guess) -> Outcome:
    asked = view.brief.question
    return Outcome(guess=guess, asset=Data("claimed", asked.modality, asked.x[guess > 0.5]))


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.TABULAR),
    paper="hartley",
    sweep={"way": ("digits", "fails", "asks_often", "whole")},
)
def picky(
    view, rng, *, way: Literal["digits", "whole", "fails", "asks_often"] = "digits", sign: int = 1
):
    """Read the decimals of a member's probability, which rounding removes, or the probability.

    Args:
        way: digits (the decimals after the first), whole, fails (an error), or asks_often (whole,
            at a hundred times the price).
        sign: multiplies the guess.
    """
    asked = view.brief.question
    if way == "fails":
        raise ZeroDivisionError("on purpose")
    for _ in range(100 if way == "asks_often" else 1):
        answers = view.model.query(asked.x)
    p = answers[np.arange(len(asked)), asked.y]
    if way == "digits":
        return _answer(view, sign * (np.abs(10 * p % 1 - 0.7) < 1e-6).astype(float))
    return _answer(view, sign * p)


@attack(
    game=membership,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.TABULAR),
    paper="hartley",
    sweep={"stream": (1, 2, 3, 4, 5, 6)},
)
def guesses(view, rng, *, stream: Annotated[int, Range(0, 9)] = 0):
    """Guess by coins, whatever the victim says: no setting reads anything.

    Args:
        stream: which coins.
    """
    return _answer(view, rng.spawn(10)[stream].random(len(view.brief.question)))

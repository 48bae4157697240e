"""Scores of the rows of a release for each person → the rank of the row that is theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Judge, Outcome, Received, Round
from hartley.core.errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def judge_of(
    game: str,
    places: Sequence[NDArray[np.int64]],
    rows: Sequence[int],
    ties: int,
    among: Sequence[NDArray[np.int64]] | None = None,
) -> Judge:
    """Return the judge of a game whose secret is the place of each person's row.

    Args:
        game: its name, for messages.
        places: of each round, the row (m,) of each person, a place among those that are ranked.
        rows: of each round, how many rows were published.
        ties: seeds the order of rows of the same score.
        among: of each round, the rows (c,) that are ranked; None: all.
    """

    def judge(played: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        del played
        tie_rng = np.random.default_rng(ties)
        out = []
        ranked = [np.arange(count) for count in rows] if among is None else among
        for place, count, columns, outcome in zip(places, rows, ranked, outcomes, strict=True):
            scores = _scores(game, outcome, (len(place), count))[:, columns]
            ranks = _ranks(scores, place, tie_rng)
            other = _ranks(scores, tie_rng.permutation(place), tie_rng)
            figures = {
                "linked": float((ranks == 1).mean()),
                "linked_by_chance": float((other == 1).mean()),
            }
            out.append(Received(guess=ranks, metrics=figures))
        return out

    return judge


def _ranks(scores: NDArray[np.float64], place: NDArray[np.int64], rng: Rng) -> NDArray[np.int64]:
    """Return the rank (m,) of the row at ``place`` (m,), 1 for the best; ties at random."""
    true_score = scores[np.arange(len(place)), place][:, None]
    above, same = (scores > true_score).sum(1), (scores == true_score).sum(1)
    return np.asarray(1 + above + rng.integers(0, same), dtype=np.int64)


def _scores(game: str, outcome: Outcome, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return the scores (m, rows) of an outcome.

    Raises:
        RunError: the guess is something else.
    """
    guess = np.asarray(outcome.guess, dtype=np.float64)
    if guess.shape != shape or np.isnan(guess).any():
        raise RunError(
            f"{game}: the guess must be {shape[0]} rows of {shape[1]} scores, got shape "
            f"{guess.shape}"
        )
    return guess

"""The judge of membership: it averages guesses over groups, and finds the most exposed records.

Records of one group (of a user, of a data set) share a coin. An attack answers every record; the
guess for a group is the mean of its answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Judge, Outcome, Received, Round
from hartley.core.errors import RunError

if TYPE_CHECKING:
    from numpy.typing import NDArray

EXPOSED, WORST = 0.01, "worst_percentile_advantage"
"""Share of the uses that counts as the most exposed, and the name of their metric."""

TINY = 1e-12


def judge_of(
    groups: NDArray[Any],
    measured: NDArray[Any] | None = None,
    items: NDArray[Any] | None = None,
) -> Judge:
    """Return the judge that averages answers over groups.

    Args:
        groups: (n,) integers 0..m−1, one for each record.
        measured: (n,) booleans, which records are measured; None measures all.
        items: (n,) numbers of the records in the deal's sources; None: their places.
    """
    size = np.bincount(groups)
    columns = {} if measured is None else {"split": measured.astype(np.int64)}
    columns |= {} if items is None else {"item": items}
    alone = bool((groups == np.arange(len(groups))).all())

    def judge(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        answers = [_answers(out, len(groups)) for out in outcomes]
        guesses = answers if alone else [np.bincount(groups, a) / size for a in answers]
        worst = [{} if w is None else {WORST: w} for w in exposed(rounds, guesses)]
        if alone:
            return [
                Received.of(out, guess, metrics=w, columns=columns)
                for out, guess, w in zip(outcomes, guesses, worst, strict=True)
            ]
        return [
            Received(guess=guess, metrics=w, posterior=_pooled(out.posterior, groups))
            for out, guess, w in zip(outcomes, guesses, worst, strict=True)
        ]

    return judge


def _answers(outcome: Outcome, n: int) -> NDArray[np.float64]:
    guess = None if outcome.guess is None else np.asarray(outcome.guess)
    if guess is None or guess.shape != (n,):
        given = "none" if guess is None else f"shape {guess.shape}"
        raise RunError(f"guesses must be of shape ({n},), one per record, got {given}")
    return np.asarray(guess, dtype=np.float64)


def _pooled(posterior: NDArray[Any] | None, groups: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the posterior (m,) of each group from those of its records: the odds multiply."""
    if posterior is None:
        return None
    p = np.asarray(posterior, np.float64)
    p = np.clip(p if p.ndim == 1 else p[:, 1], TINY, 1 - TINY)
    odds = np.clip(np.bincount(groups, np.log(p) - np.log1p(-p)), -30, 30)
    return np.asarray(1 / (1 + np.exp(-odds)))


def exposed(rounds: Sequence[Round], guesses: Sequence[NDArray[Any]]) -> list[float | None]:
    """Return the advantage on the most exposed hundredth of the uses, per round.

    These uses are chosen on the rounds of the other parity, so that the choice is independent of
    the round. A guess above the median of its round counts as a member. With fewer than 4 rounds
    all values are None.
    """
    if len(rounds) < 4 or not np.isfinite(np.concatenate(guesses)).all():
        return [None] * len(rounds)
    claims = np.stack([np.sign(g - np.median(g)) for g in guesses])
    correct = claims * np.stack([2 * round_.truth - 1 for round_ in rounds])
    count, odd = max(1, round(EXPOSED * correct.shape[1])), np.arange(len(rounds)) % 2
    most_exposed = [np.argsort(-correct[odd != p].mean(0), kind="stable")[:count] for p in (0, 1)]
    return [float(correct[k, most_exposed[k % 2]].mean()) for k in range(len(rounds))]

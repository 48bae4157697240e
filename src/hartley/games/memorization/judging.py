"""The judge of both memorization games: from candidates' scores to the rank of the true one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Data, Outcome, Received, Round, spawn
from hartley.core.errors import RunError
from hartley.games.memorization.verbatim import Verified

if TYPE_CHECKING:
    from hartley.core.parts import Rng


def judge(
    rounds: Sequence[Round],
    outcomes: Sequence[Outcome],
    verify: Sequence[Verified] = (),
) -> list[Received]:
    """Return the rank of the true candidate by scores (m, R); ties are broken at random.

    If ties were not broken at random, an attack with equal scores would always give the same rank,
    which is not uniform: bits would be certified without a leak. The random numbers do not depend
    on the secrets, so the rank is uniform if nothing leaks.

    Args:
        rounds: of the deal.
        outcomes: an attack's scores and loot.
        verify: for each round, a function that searches the loot for secrets; empty for none.

    Raises:
        RunError: an attack did not score every candidate with a finite number.
    """
    readers: Sequence[Verified | None] = verify or [None] * len(rounds)
    generators = [
        np.random.default_rng(spawn(round_.view.salt, "ties", k)) for k, round_ in enumerate(rounds)
    ]
    return [
        _ranked(*arguments) for arguments in zip(rounds, outcomes, readers, generators, strict=True)
    ]


def _ranked(round_: Round, outcome: Outcome, verify: Verified | None, generator: Rng) -> Received:
    scores, m = np.asarray(outcome.guess, dtype=np.float64), len(round_.truth)
    if scores.shape != (m, round_.alphabet):
        raise RunError(
            f"scores must be of shape {(m, round_.alphabet)}, one a candidate, got {scores.shape}"
        )
    if bad := int((~np.isfinite(scores)).sum()):
        raise RunError(f"scores must be finite, got {bad} of {scores.size} NaN or infinite")
    rows = np.arange(m)
    true_scores, order = scores[rows, round_.truth][:, None], generator.random(scores.shape)
    wins_ties = order <= order[rows, round_.truth][:, None]
    rank = ((scores > true_scores) | ((scores == true_scores) & wins_ties)).sum(1)
    metrics = {"extraction_rate": float((rank == 1).mean())}
    if verify is not None and isinstance(outcome.asset, Data):
        metrics |= verify(outcome.asset)
    # Probability of this rank or a better one if nothing leaks.
    return Received.of(outcome, rank, metrics=metrics, columns={"p_null": rank / round_.alphabet})

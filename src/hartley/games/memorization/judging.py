"""The judge of both memorization games: from scores of candidates to the place of the true one."""

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
    """Turn scores (m, R) into the place of the true candidate; a coin settles scores that tie.

    Without one, an attack that scores all alike would put every secret last, and a place that is
    always the same is no uniform one: bits would be certified where nothing was heard. The coins
    do not depend on the secrets, so that the place stays uniform where nothing leaks.

    Args:
        rounds: with the truth.
        outcomes: an attack's scores and loot.
        verify: for each round, what reads the loot of text beside the scores; empty for none.

    Raises:
        RunError: an attack did not score every candidate with a finite number.
    """
    readers: Sequence[Verified | None] = verify or [None] * len(rounds)
    coins = [np.random.default_rng(spawn(one.view.salt, "ties", k)) for k, one in enumerate(rounds)]
    return [_ranked(*each) for each in zip(rounds, outcomes, readers, coins, strict=True)]


def _ranked(one: Round, outcome: Outcome, verify: Verified | None, coins: Rng) -> Received:
    scores, m = np.asarray(outcome.guess, dtype=np.float64), len(one.truth)
    if scores.shape != (m, one.alphabet):
        raise RunError(
            f"scores must be of shape {(m, one.alphabet)}, one a candidate, got {scores.shape}"
        )
    if bad := int((~np.isfinite(scores)).sum()):
        raise RunError(f"scores must be finite, got {bad} of {scores.size} NaN or infinite")
    rows = np.arange(m)
    own, order = scores[rows, one.truth][:, None], coins.random(scores.shape)
    before = order <= order[rows, one.truth][:, None]
    rank = ((scores > own) | ((scores == own) & before)).sum(1)
    usual = {"extraction_rate": float((rank == 1).mean())}
    if verify is not None and isinstance(outcome.asset, Data):
        usual |= verify(outcome.asset)
    # Were the secret any other candidate, it would lie this high or higher rank times in R.
    return Received.of(outcome, rank, metrics=usual, columns={"p_null": rank / one.alphabet})

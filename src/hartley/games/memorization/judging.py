"""The judge of both memorization games: from candidates' scores to the rank of the true one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Data, Outcome, Received, Round, spawn
from hartley.core.errors import RunError
from hartley.games.memorization.verbatim import Verified
from hartley.infotheory.surprisal import exposure

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@dataclass(frozen=True, slots=True, eq=False)
class Copies:
    """How often each canary of a deployed model was planted.

    Attributes:
        count: (m,) copies; a canary of 0 is not measured, and shows what an unplanted one reads.
    """

    count: NDArray[np.int64]


def judge(
    rounds: Sequence[Round],
    outcomes: Sequence[Outcome],
    verify: Sequence[Verified] = (),
    copies: Copies | None = None,
) -> list[Received]:
    """Return the rank of the true candidate by scores (m, R); ties are broken at random.

    If ties were not broken at random, an attack with equal scores would always give the same rank,
    which is not uniform: bits would be certified without a leak. The random numbers do not depend
    on the secrets, so the rank is uniform if nothing leaks.

    Args:
        rounds: of the deal.
        outcomes: an attack's scores and loot.
        verify: for each round, a function that searches the loot for secrets; empty for none.
        copies: of the canaries, where they were planted unlike times; then the exposure of each
            number of copies is a metric.

    Raises:
        RunError: an attack did not score every candidate with a finite number.
    """
    readers: Sequence[Verified | None] = verify or [None] * len(rounds)
    generators = [
        np.random.default_rng(spawn(round_.view.salt, "ties", k)) for k, round_ in enumerate(rounds)
    ]
    return [
        _ranked(*arguments, copies)
        for arguments in zip(rounds, outcomes, readers, generators, strict=True)
    ]


def _ranked(
    round_: Round,
    outcome: Outcome,
    verify: Verified | None,
    generator: Rng,
    copies: Copies | None,
) -> Received:
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
    planted = np.ones(m, dtype=bool) if copies is None else copies.count > 0
    metrics = {"extraction_rate": float((rank[planted] == 1).mean())}
    if copies is not None:
        bits = exposure(rank, round_.alphabet)
        metrics |= {
            f"exposure_{k}_copies" if k else "exposure_unplanted": float(
                bits[copies.count == k].mean()
            )
            for k in np.unique(copies.count).tolist()
        }
    if verify is not None and isinstance(outcome.asset, Data):
        metrics |= verify(outcome.asset)
    # Probability of this rank or a better one if nothing leaks.
    columns = {"p_null": rank / round_.alphabet}
    if copies is not None:
        columns["split"] = planted.astype(np.int64)
    return Received.of(outcome, rank, metrics=metrics, columns=columns)

"""The optional columns of a play: joined over rounds, checked, and completed by what is known here.

The attack gives what only it can (its posterior), the judge what needs the truth, the meter what
was spent. The engine looks up the posterior of the true symbol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Attack, Received, Round
from hartley.core.errors import RunError
from hartley.core.records import COLUMNS, COSTS
from hartley.core.scene import BY_ATTACK, BY_JUDGE

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST = 2.0**-1000
"""A posterior of 0 counts as this: its logarithm stays finite."""

SLACK = 1e-3
"""How far from 1 the sum of a posterior may be: float32 and rounding for print."""


def complete(
    attack: Attack,
    rounds: Sequence[Round],
    received: Sequence[Received],
    spent: Sequence[Mapping[str, float]],
) -> dict[str, Any]:
    """Return the optional fields of the trials.

    Args:
        attack: what was played.
        rounds: as dealt.
        received: as judged, one a round.
        spent: of each round, by names out of ``COSTS``; its rows share it alike.

    Raises:
        RunError: a column has a wrong name, length or range, holds NaN, or is missing in a round.
    """
    sizes = [len(round_.truth) for round_ in rounds]
    n = sum(sizes)
    filled: dict[str, NDArray[Any]] = {}
    for name in dict.fromkeys(name for outcome in received for name in outcome.columns):
        if name not in (*BY_ATTACK, *BY_JUDGE):
            raise RunError(
                f"{attack.name}: a column must be one of {', '.join((*BY_ATTACK, *BY_JUDGE))}, "
                f"got {name!r}"
            )
        parts = [
            _column(attack, name, outcome, m) for outcome, m in zip(received, sizes, strict=True)
        ]
        filled[name] = np.concatenate(parts)
    where = np.repeat(np.arange(len(sizes)), sizes)
    place = np.concatenate([np.arange(m) for m in sizes])
    order = np.lexsort((filled.pop("order", place), where))
    columns: dict[str, Any] = {"trial": np.arange(n), "item": place, "order": _ranks(order)}
    columns |= {name: column for name, column in filled.items() if name not in COSTS}
    shares = {
        name: np.array([cost[name] / max(m, 1) for cost, m in zip(spent, sizes, strict=True)])[
            where
        ]
        for name in (spent[0] if spent else ())
    }
    columns["costs"] = shares | {name: v for name, v in filled.items() if name in COSTS}
    logq = [
        _log2_posterior_of_truth(attack, round_, outcome)
        for round_, outcome in zip(rounds, received, strict=True)
    ]
    if any(part is not None for part in logq):
        if any(part is None for part in logq):
            raise RunError(f"{attack.name}: a posterior must be given in every round or in none")
        columns["logq"] = np.concatenate([part for part in logq if part is not None])
    return columns


def _ranks(order: NDArray[Any]) -> NDArray[np.int64]:
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


def _column(attack: Attack, name: str, got: Received, m: int) -> NDArray[Any]:
    if name not in got.columns:
        raise RunError(f"{attack.name}: the column {name} must be given in every round or in none")
    values, (low, high, integers) = np.asarray(got.columns[name]), COLUMNS[name]
    if values.shape != (m,):
        raise RunError(f"{attack.name}: {name} must have shape {(m,)}, got {values.shape}")
    if values.dtype.kind not in "biuf" or not np.isfinite(values.astype(np.float64)).all():
        raise RunError(
            f"{attack.name}: {name} must be finite numbers, got NaN, infinity or another type"
        )
    values = values.astype(np.float64)
    if integers and (values != np.round(values)).any():
        raise RunError(f"{attack.name}: {name} must be whole numbers")
    below = values <= 0 if name == "p_null" else values < (-np.inf if low is None else low)
    odd = values[below | (values > (np.inf if high is None else high))]
    if len(odd):
        raise RunError(f"{attack.name}: {name} must be {_allowed(name)}, got {odd[0]:g}")
    return values.astype(np.int64) if integers else values


def _allowed(name: str) -> str:
    low, high, _ = COLUMNS[name]
    ends = [] if low is None else [f"{'above' if name == 'p_null' else 'at least'} {low:g}"]
    return " and ".join([*ends, *([] if high is None else [f"at most {high:g}"])])


def _log2_posterior_of_truth(
    attack: Attack, one: Round, got: Received
) -> NDArray[np.float64] | None:
    """log2 of what the attacker's posterior gave the true symbol."""
    if got.posterior is None:
        return None
    law, m = np.asarray(got.posterior, dtype=np.float64), len(one.truth)
    if law.shape == (m,) and one.alphabet == 2:
        law = np.stack([1.0 - law, law], axis=1)
    if law.shape != (m, one.alphabet):
        raise RunError(
            f"{attack.name}: a posterior must have shape {(m, one.alphabet)}"
            f"{f' or {(m,)} (the probability of symbol 1)' if one.alphabet == 2 else ''}"
            f", got {law.shape}"
        )
    if not np.isfinite(law).all() or (law < 0).any() or (np.abs(law.sum(1) - 1) > SLACK).any():
        raise RunError(
            f"{attack.name}: a posterior must be probabilities that sum to 1 in each row"
        )
    true = law[np.arange(m), one.truth]
    return np.asarray(np.log2(np.clip(true, LEAST, 1.0)))

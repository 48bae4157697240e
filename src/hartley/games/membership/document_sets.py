"""Sets of records in front of one deployed model: was the model trained on this set?

The owner names members and non-members; each set is of one of them, so that one bit, *is this set
in the training*, is the secret of each. Sets are disjoint and their order is drawn, so that they
are separate uses. The attacker knows some non-members, as in dataset inference (arXiv:2406.06443):
those to spare, or else half of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Judge, Outcome, Received, Round, Scene
from hartley.games.membership.judging import judge_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SETS = 10
"""Sets of members that there are at least, and of non-members: records a set give way to this."""
P_VALUE = "set_p_value"


def with_known_nonmembers(scene: Scene, rng: Rng) -> Scene:
    """Return a scene whose attacker knows some non-members: half of them, where none are spare."""
    holdout = scene.holdout
    if holdout is None or "public" in scene.extra:
        return scene
    rows = rng.permutation(len(holdout))
    half = len(holdout) // 2
    known, others = (
        replace(
            holdout,
            name=name,
            x=holdout.x[part],
            y=None if holdout.y is None else holdout.y[part],
            facts={k: _of_rows(v, part, len(holdout)) for k, v in holdout.facts.items()},
        )
        for name, part in (("public", rows[:half]), (holdout.name, rows[half:]))
    )
    return replace(scene, holdout=others, extra={**scene.extra, "public": known})


def _of_rows(value: Any, rows: NDArray[np.int64], count: int) -> Any:
    return np.asarray(value)[rows] if np.shape(value)[:1] == (count,) else value


def sets_of(
    records: int, group: int, order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Group equally many members and non-members into sets, each of one of them.

    Args:
        records: members, and as many non-members.
        group: records of a set that are asked for.
        order: (2·records,) a permutation of the members, 0…, and the non-members after them.

    Returns:
        Which records are left, (n,) places in ``order``; the set (n,) of each, 0…m−1 in an order
        that ``order`` draws; and how many records a set has: as many as are asked for where there
        are then ``SETS`` sets of members, and at least 2.
    """
    size = max(2, min(group, records // SETS))
    each = records // size
    by_record = np.concatenate([np.arange(records) // size, np.arange(records) // size + each])
    whole = np.concatenate([np.arange(records) < each * size] * 2)
    left = np.flatnonzero(whole[order])
    sets = by_record[order][left]
    # Numbered as they first come in the drawn order.
    _, first, number = np.unique(sets, return_index=True, return_inverse=True)
    return left, np.argsort(np.argsort(first))[number], size


def judge_of_sets(groups: NDArray[Any]) -> Judge:
    """Return the judge of sets, which also tests the whole: ``set_p_value``.

    It is the chance that sets of non-members alone would rank as high as the sets of members do
    (Mann–Whitney, one-sided). Attacks do not see which sets these are, so that where the model
    learnt from none, every order of the sets is as likely.
    """
    judge = judge_of(groups)

    def tested(rounds: Sequence[Round], outcomes: Sequence[Outcome]) -> list[Received]:
        from scipy.stats import mannwhitneyu

        received = judge(rounds, outcomes)
        out = []
        for round_, answer in zip(rounds, received, strict=True):
            member = np.asarray(round_.truth) == 1
            guess = np.asarray(answer.guess)
            test = mannwhitneyu(guess[member], guess[~member], alternative="greater")
            metrics = {**answer.metrics, P_VALUE: float(test.pvalue)}
            out.append(replace(answer, metrics=metrics))
        return out

    return tested

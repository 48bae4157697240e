"""Records of blocked classes that a filter of the tuning service lets pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, View
from hartley.games.finetuning.class_unblocking import ClassUnblockingBrief
from hartley.models.gate import Gate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BLENDS = (0.0, 0.15, 0.3, 0.45, 0.6)
"""Shares of a record that are of a record of another class; graphs are not blended: a link has no
half."""


def disguised(
    view: View[ClassUnblockingBrief],
    classes: Sequence[int],
    count: int,
    false_alarms: float,
    rng: Rng,
) -> Data:
    """Return at most ``count`` records of these classes, those that are changed least first.

    Each is as little of another class's record as it can be for the victim to take it for such a
    class, by the rule of ``blocked_record_filter`` with the attacker's public records in the place
    of the owner's. What does not pass at all comes last, the least suspicious first.

    Args:
        view: of the attack; the victim's answers are asked for.
        classes: of the records; as many of each, while there are.
        count: records at most.
        false_alarms: of the filter.
        rng: pairs records for blends.
    """
    brief, public = view.brief, view.brief.public
    gate = Gate(brief.blocked, brief.refused)
    usual = public.x[~gate.blocks(public.labels)]
    answers = gate.suspicion(view.model.query(usual))
    threshold = float(np.quantile(answers, 1 - false_alarms, method="higher"))
    blends = BLENDS[:1] if public.modality is Modality.GRAPH else BLENDS
    pools: list[tuple[NDArray[Any], NDArray[np.int64]]] = []
    for name in classes:
        x = public.x[public.labels == name]
        others = usual[rng.integers(len(usual), size=len(x))]
        versions = np.stack([(1 - share) * x + share * others for share in blends]).astype(x.dtype)
        suspicion = gate.suspicion(view.model.query(np.concatenate(versions)))
        suspicion = suspicion.reshape(len(blends), len(x))
        # The first blend that passes; where none does, the least suspicious one.
        passes = suspicion <= threshold
        best = np.where(passes.any(0), passes.argmax(0), suspicion.argmin(0))
        each = np.arange(len(x))
        order = np.lexsort((suspicion[best, each], best, ~passes.any(0)))
        pools.append((versions[best, each][order], np.full(len(x), name)))
    deepest = max((len(x) for x, _ in pools), default=0)
    turns = [(k, i) for i in range(deepest) for k, (x, _) in enumerate(pools) if i < len(x)][:count]
    if not turns:
        return replace(public, x=public.x[:0], y=public.labels[:0])
    return replace(
        public,
        x=np.stack([pools[k][0][i] for k, i in turns]),
        y=np.array([pools[k][1][i] for k, i in turns]),
    )

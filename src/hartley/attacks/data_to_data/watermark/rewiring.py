"""Rewiring: take links of a marked graph away at random, and put as many where none were."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.link_flips import as_loot, largest, linked
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    paper="arXiv:1605.09425",
)
def rewiring(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True)] = 1.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 8,
) -> Outcome:
    """Move as many links, in a random order, as the quality floor allows.

    Args:
        share: largest share of the links that is moved.
        steps: bisections of their number.
    """
    graph = view.data.x[0]
    rows, columns = linked(graph)
    free = np.argwhere(np.triu(graph == 0, 1))
    count = min(len(rows), len(free))
    away = rng.permutation(len(rows))[:count]
    put = free[rng.permutation(len(free))[:count]]
    pairs = np.stack([np.stack([rows[away], columns[away]], 1), put], 1).reshape(-1, 2)
    return as_loot(largest(view.brief.holds, graph, pairs[: int(2 * count * share)], steps))

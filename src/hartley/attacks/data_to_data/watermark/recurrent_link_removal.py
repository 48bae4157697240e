"""Recurrent links: find a graph mark in what several graphs of one owner have in common.

The pairs that a key plants are the same in each graph of an owner, and what is true of the graphs
is not. So further marked graphs are a surrogate of the detector: pairs that are linked in many of
them beyond what degrees explain are flipped, the likeliest first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.link_flips import (
    as_loot,
    largest,
    recurring,
)
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
    game_params={"others": 16},
)
def recurrent_link_removal(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1), Stronger.MORE] = 10,
) -> Outcome:
    """Flip pairs that were probably planted, as many as the quality floor allows.

    Args:
        steps: bisections of the number of pairs.
    """
    graph = view.data.x[0]
    score = recurring(view.brief.others.x)
    # A planted link is there and recurs; a planted gap is not there and never is.
    suspicion = np.where(graph > 0, score, -score)
    rows, columns = np.triu_indices(len(graph), 1)
    values = suspicion[rows, columns]
    order = np.lexsort([rng.permutation(len(values)), -values])
    pairs = np.stack([rows[order], columns[order]], 1)[: int(graph.sum())]
    return as_loot(largest(view.brief.holds, graph, pairs, steps))

"""Recurrent links, copied: plant in a graph what several graphs of a victim have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.link_flips import (
    as_loot,
    largest,
    recurring,
)
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.forgery import ForgeryBrief, forgery

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=forgery,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.GRAPH,),
    paper="arXiv:1605.09425",
)
def recurrent_link_copy(
    view: View[ForgeryBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1), Stronger.MORE] = 10,
) -> Outcome:
    """Make links that recur in the victim's graphs, and take away those that never are there.

    Args:
        steps: bisections of the number of pairs, from the likeliest on.
    """
    graph = view.data.x[0]
    score = recurring(view.brief.others.x)
    rows, columns = np.triu_indices(len(graph), 1)
    gain = np.where(graph > 0, -score, score)[rows, columns]
    order = np.lexsort([rng.permutation(len(gain)), -gain])
    order = order[gain[order] > 0][: int(graph.sum())]
    pairs = np.stack([rows[order], columns[order]], 1)
    return as_loot(largest(view.brief.holds, graph, pairs, steps), "forgery")

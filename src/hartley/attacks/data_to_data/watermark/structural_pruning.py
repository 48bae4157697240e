"""Structural pruning: take away the links of a graph that its structure explains least.

Links that a mark put at random join nodes that are far apart in the rest of the graph. An attacker
who knows that much, and no key, prunes them first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.link_flips import as_loot, largest, linked
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng

FAR = 64
"""Steps after which a way round is not looked for any more."""


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.GRAPH,),
    paper="arXiv:1605.09425",
)
def structural_pruning(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1), Stronger.MORE] = 8,
) -> Outcome:
    """Remove links from the longest detour on, as many as the quality floor allows.

    The detour of a link is the distance of its two nodes without it. Links without any way round go
    last: a planted one seldom is the only way to a part of the graph. Ties are in random order.

    Args:
        steps: bisections of the number of links.
    """
    graph = view.data.x[0]
    rows, columns = linked(graph)
    near = [np.flatnonzero(row) for row in graph]
    detour = np.array([_detour(near, int(a), int(b)) for a, b in zip(rows, columns, strict=True)])
    order = np.lexsort([rng.permutation(len(rows)), -detour])
    pairs = np.stack([rows[order], columns[order]], 1)
    return as_loot(largest(view.brief.holds, graph, pairs, steps))


def _detour(near: list[np.ndarray], start: int, end: int) -> int:
    """Return the distance of two linked nodes without their link; 0 where there is no way."""
    visited, edge, steps = {start}, {start}, 0
    while edge and steps < FAR:
        steps += 1
        reached: set[int] = set()
        for node in edge:
            reached.update(near[node].tolist())
        if steps == 1:
            reached.discard(end)
        if end in reached:
            return steps
        edge = reached - visited
        visited |= edge
    return 0

"""Stolen cells: learn which cells the owner of marked tables fills, and empty them.

What an owner's key does to a column is the same in all of their tables, so that further ones show
it: the stealing of a green list (arXiv:2402.19361), of numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.attacks.data_to_data.watermark._shared.table_cells import (
    as_loot,
    moved,
    of_one_key,
    stolen,
)
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2402.19361",
    adapts=True,
    game_params={"others": 16},
)
def stolen_cells(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    width: Annotated[float, Range(0)] = 0.0,
    share: Annotated[float, Range(0, 1, open_low=True)] = 0.5,
    steps: Annotated[int, Range(1), Stronger.MORE] = 7,
) -> Outcome:
    """Move numbers from the owner's cells to their neighbours.

    An attacker who knows that the owner has several keys learns from the tables alone whose cells
    are most like those of this one.

    Args:
        width: of a cell; 0: the attacker finds it out.
        share: of the numbers in the owner's cells that are moved; half of them leaves no trace.
        steps: bisections of the level.
    """
    table = view.data.x[0]
    others = [*view.brief.others.x]
    keys = int({one.name: one.params for one in view.defenses}.get("multi_key", {}).get("keys", 1))
    cell, counts = stolen([*others, table], width)
    if keys > 1 and others:
        cell, counts = stolen([*of_one_key(table, others, cell, keys), table], cell)
    seed = int(rng.integers(2**31))

    def emptied(level: float) -> np.ndarray:
        # A copy of the stream for each level: what a level moves, a larger one moves too.
        stream = np.random.default_rng(seed)
        return moved(table, cell, counts, stream, towards=False, share=level)

    return as_loot(strongest(emptied, view.brief.holds, emptied(0.0), steps, share))

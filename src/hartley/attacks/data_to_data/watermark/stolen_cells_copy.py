"""Stolen cells, filled: move the numbers of a table to the cells that a victim fills."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.attacks.data_to_data.watermark._shared.table_cells import as_loot, moved, stolen
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.forgery import ForgeryBrief, forgery

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=forgery,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2402.19361",
)
def stolen_cells_copy(
    view: View[ForgeryBrief],
    rng: Rng,
    *,
    width: Annotated[float, Range(0)] = 0.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 7,
) -> Outcome:
    """Move as many numbers to the victim's cells as the quality floor allows.

    Args:
        width: of a cell; 0: the attacker finds it out.
        steps: bisections of the level.
    """
    table = view.data.x[0]
    cell, counts = stolen(list(view.brief.others.x), width)
    seed = int(rng.integers(2**31))

    def filled(level: float) -> np.ndarray:
        stream = np.random.default_rng(seed)
        return moved(table, cell, counts, stream, towards=True, share=level)

    return as_loot(strongest(filled, view.brief.holds, filled(0.0), steps, 1.0), "forgery")

"""Row deletion: publish some rows of a marked table, in another order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.attacks.data_to_data.watermark._shared.table_cells import as_loot
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.BANDWIDTH,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2405.14018",
)
def row_deletion(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    most: Annotated[float, Range(0, 1, open_low=True)] = 0.98,
    steps: Annotated[int, Range(1), Stronger.MORE] = 7,
) -> Outcome:
    """Delete as many rows at random as the quality floor allows.

    Args:
        most: largest share of the rows that is deleted.
        steps: bisections of the level.
    """
    table = view.data.x[0]
    order = rng.permutation(len(table))

    def left(level: float) -> np.ndarray:
        return np.asarray(table[order[: max(1, round((1 - level) * len(table)))]])

    return as_loot(strongest(left, view.brief.holds, left(0.0), steps, most))

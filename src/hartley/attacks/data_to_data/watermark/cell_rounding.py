"""Cell rounding: publish the numbers of a marked table with fewer digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.attacks.data_to_data.watermark._shared.table_cells import as_loot, numeric
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
def cell_rounding(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    most: Annotated[float, Range(0, open_low=True)] = 1.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 7,
) -> Outcome:
    """Round every column to the coarsest grid that the quality floor allows.

    Args:
        most: coarsest grid, in deviations of each column.
        steps: bisections of the level.
    """
    del rng
    table = view.data.x[0]
    spread = np.where(numeric(table), table[:, :-1].std(0), 0.0) + 1e-12

    def rounded(level: float) -> np.ndarray:
        # A column of two values keeps them: its grid is finer than they are apart.
        grid = np.maximum(level * spread, 1e-12)
        return np.column_stack([np.round(table[:, :-1] / grid) * grid, table[:, -1]])

    return as_loot(strongest(rounded, view.brief.holds, rounded(0.0), steps, most))

"""Cell noise: add Gaussian noise to the numbers of a marked table."""

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
    term=Term.NOISE,
    modalities=(Modality.TABULAR,),
    paper="arXiv:2405.14018",
)
def cell_noise(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    most: Annotated[float, Range(0, open_low=True)] = 1.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 7,
) -> Outcome:
    """Add as much noise to numbers as the quality floor allows; columns of two values stay.

    Args:
        most: largest deviation of the noise, in deviations of each column.
        steps: bisections of the level.
    """
    table = view.data.x[0]
    noise = rng.standard_normal(table[:, :-1].shape)
    spread = np.where(numeric(table), table[:, :-1].std(0), 0.0)

    def noisy(level: float) -> np.ndarray:
        return np.column_stack([table[:, :-1] + level * spread * noise, table[:, -1]])

    return as_loot(strongest(noisy, view.brief.holds, noisy(0.0), steps, most))

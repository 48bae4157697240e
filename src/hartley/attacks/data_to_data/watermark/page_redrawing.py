"""Page redrawing: read the text of a page, and set it anew on blank paper.

A mark that is in the pixels of a text does not outlive that the text is read and drawn (laundering
through another modality). A mark that is in the words does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_data.watermark._shared.page_texts import as_loot, redrawn
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.PAIRED,),
    paper="hartley",
)
def page_redrawing(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1), Stronger.MORE] = 5,
) -> Outcome:
    """Draw what a recogniser reads; compress the illustration as far as the floor allows.

    Args:
        steps: bisections of the quality of JPEG.
    """
    del rng
    page = view.data.x[0]
    drawn = redrawn(view.brief, page, steps)
    return as_loot(page if drawn is None else drawn.page)

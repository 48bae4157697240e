"""Resampling: shrink the picture and enlarge it again, as a messenger or a thumbnailer does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.vision import image

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION,),
    paper="arXiv:2401.08573",
)
def resampling(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    smallest: Annotated[float, Range(0, 1, open_low=True)] = 0.1,
    steps: Annotated[int, Range(1)] = 7,
) -> Outcome:
    """Resize the picture to as few pixels as the quality floor allows, and back.

    Args:
        smallest: the smallest side tried, as a fraction of the original's.
        steps: bisections of the side.
    """
    del rng
    marked = view.data.x[0]
    floor = view.brief.quality_floor
    kept, low, high = marked, smallest, 1.0
    for _ in range(steps):
        factor = (low + high) / 2
        made = image.shrink(marked, factor)
        if image.psnr(made, marked) >= floor:
            kept, high = made, factor
        else:
            low = factor
    return Outcome(
        asset=Data("resampled", Modality.VISION, kept[None], role="cleaned image"),
    )

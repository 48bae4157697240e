"""Resampling: shrink a marked picture and enlarge it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
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
    steps: Annotated[int, Range(1), Stronger.MORE] = 7,
) -> Outcome:
    """Shrink the picture as far as the quality floor allows, and enlarge it to its original size.

    Args:
        smallest: smallest side to try, as a share of the original side.
        steps: bisection steps.
    """
    del rng
    marked = view.data.x[0]
    published, low, high = marked, smallest, 1.0
    for _ in range(steps):
        factor = (low + high) / 2
        resampled = image.shrink(marked, factor)
        if view.brief.holds(resampled):
            published, high = resampled, factor
        else:
            low = factor
    return Outcome(
        asset=Data("resampled", Modality.VISION, published[None], role="cleaned image"),
    )

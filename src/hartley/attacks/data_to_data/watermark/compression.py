"""Compression: JPEG at the lowest quality that keeps the picture good enough."""

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
    term=Term.NOISE,
    modalities=(Modality.VISION,),
    paper="arXiv:2401.08573",
)
def compression(
    view: View[WatermarkBrief], rng: Rng, *, best: Annotated[int, Range(1, 100)] = 98
) -> Outcome:
    """Save the picture as JPEG, as coarsely as the quality floor allows, and publish that.

    The attacker holds the marked picture, so it measures the PSNR itself and bisects the quality.
    Colour goes at half the resolution, or whole where halving it alone breaks the floor.

    Args:
        best: the highest JPEG quality tried; when even that breaks the floor it is sent anyway.
    """
    del rng
    marked = view.data.x[0]
    floor = view.brief.quality_floor
    for halved in (True, False):
        low, high = 1, best
        while low < high:
            middle = (low + high) // 2
            if image.psnr(image.jpeg(marked, middle, halved=halved), marked) >= floor:
                high = middle
            else:
                low = middle + 1
        made = image.jpeg(marked, low, halved=halved)
        if image.psnr(made, marked) >= floor:
            break
    return Outcome(
        asset=Data(f"jpeg {low}", Modality.VISION, made[None], role="cleaned image"),
    )

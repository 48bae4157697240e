"""Compression: save a marked picture as JPEG at the lowest quality above the quality floor."""

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
    """Save the picture as JPEG at the lowest quality that the quality floor allows.

    The attacker has the marked picture, measures how near a candidate is and bisects the quality.
    Colour has half the resolution, unless that alone violates the floor.

    Args:
        best: highest JPEG quality to try; the picture is returned even if it violates the floor.
    """
    del rng
    marked = view.data.x[0]
    for halved in (True, False):
        low, high = 1, best
        while low < high:
            middle = (low + high) // 2
            if view.brief.holds(image.jpeg(marked, middle, halved=halved)):
                high = middle
            else:
                low = middle + 1
        compressed = image.jpeg(marked, low, halved=halved)
        if view.brief.holds(compressed):
            break
    return Outcome(
        asset=Data(f"jpeg {low}", Modality.VISION, compressed[None], role="cleaned image"),
    )

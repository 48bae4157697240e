"""Overwriting: mark the picture again, with the owner's scheme and a key of one's own.

Who knows how a mark is made, but not its key, disturbs just the coefficients that carry it, and
nothing else (Kerckhoffs). Without knowledge of a defence the widespread DWT-DCT mark is assumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.vision import image, marks

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.VISION,),
    paper="doi:10.1109/35.940053",
    adapts=True,
)
def overwriting(
    view: View[WatermarkBrief], rng: Rng, *, most: Annotated[int, Range(1)] = 8
) -> Outcome:
    """Embed random messages under random keys until the quality floor is reached.

    Args:
        most: how many messages at most.
    """
    marked = view.data.x[0]
    floor, bits = view.brief.quality_floor, view.brief.bits
    marker, kept = _scheme(view), marked
    for _ in range(most):
        key = int(rng.integers(2**62))
        made = marker.embed(kept, rng.integers(0, 2, bits), key)
        if image.psnr(made, marked) < floor:
            break
        kept = made
    return Outcome(asset=Data("overwritten", Modality.VISION, kept[None], role="cleaned image"))


def _scheme(view: View[WatermarkBrief]) -> marks.Marker:
    """The owner's scheme, as far as the attacker knows it."""
    for known in reversed(view.defenses):
        if known.name == "spread_spectrum":
            return marks.spread_spectrum(float(known.params["step"]))
        if known.name == "coded_mark":
            return marks.coded(marks.diverse(float(known.params["step"])))
    return marks.dwt_dct()

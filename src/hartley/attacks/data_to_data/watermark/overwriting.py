"""Overwriting: embed other watermarks with the owner's scheme and random keys.

An attacker who knows the scheme but not the key disturbs exactly the coefficients that carry the
watermark (Kerckhoffs's principle). A static attacker assumes the common DWT-DCT scheme.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.marker import Marker
from hartley.kit.vision import marks

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
    """Embed random watermarks under random keys until the quality floor is reached.

    Args:
        most: largest number of messages.
    """
    marked = view.data.x[0]
    bits = view.brief.bits or 32
    marker, published = _scheme(view), marked
    for _ in range(most):
        key = int(rng.integers(2**62))
        overwritten = marker.embed(published, rng.integers(0, 2, bits), key, rng)
        if not view.brief.holds(overwritten):
            break
        published = overwritten
    return Outcome(
        asset=Data("overwritten", Modality.VISION, published[None], role="cleaned image")
    )


def _scheme(view: View[WatermarkBrief]) -> Marker:
    """Return the owner's scheme, as far as the attacker knows it."""
    for defense in reversed(view.defenses):
        if defense.name == "spread_spectrum":
            return marks.spread_spectrum(float(defense.params["step"]))
        if defense.name == "coded_mark":
            return marks.coded(marks.diverse(float(defense.params["step"])))
    return marks.dwt_dct()

"""Overwriting: embed other watermarks with the owner's scheme and random keys.

An attacker who knows the scheme but not the key (Kerckhoffs's principle) disturbs exactly the
numbers that carry the watermark, where these do not depend on the key. A static attacker takes the
scheme for what it is without defenses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
from hartley.games.watermark import marked_items
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.vision import marks

if TYPE_CHECKING:
    from hartley.core.parts import Rng
    from hartley.kit.marker import Embed


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.TABULAR),
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
    published = view.data.x[0]
    embed, bits = _scheme(view)
    for _ in range(most if embed else 0):
        key, fresh = int(rng.integers(2**62)), np.random.default_rng(int(rng.integers(2**62)))
        assert embed is not None
        overwritten = embed(published, rng.integers(0, 2, bits), key, fresh)
        if not view.brief.holds(overwritten):
            break
        published = overwritten
    return Outcome(
        asset=marked_items.one(published, view.data.modality, "overwritten", "cleaned item")
    )


def _scheme(view: View[WatermarkBrief]) -> tuple[Embed | None, int]:
    """Return the owner's scheme, as far as the attacker knows it, and its bits."""
    bits = view.brief.bits or 32
    for defense in reversed(view.defenses):
        if defense.name == "spread_spectrum":
            return marks.spread_spectrum(float(defense.params["step"])).embed, bits
        if defense.name == "coded_mark":
            return marks.coded(marks.diverse(float(defense.params["step"]))).embed, bits
    return view.brief.scheme, view.brief.scheme_bits

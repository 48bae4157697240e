"""Band limiting: store a marked recording at a lower rate and bring it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from hartley.attacks.data_to_data.watermark._shared.recordings import published
from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.audio import RATE
from hartley.kit.sound import transforms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


STEP = 250
"""Rates are multiples of this, so that resampling has short filters."""


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.BANDWIDTH,
    modalities=(Modality.AUDIO,),
    paper="doi:10.1109/35.940053",
)
def band_limiting(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    lowest: Annotated[int, Range(1000, 15_750)] = 4000,
    steps: Annotated[int, Range(1), Stronger.MORE] = 5,
) -> Outcome:
    """Resample the recording to the lowest rate that the quality floor allows, and back.

    Args:
        lowest: lowest rate to try, in samples a second.
        steps: bisections of the rate.
    """
    del rng
    marked = view.data.x[0]
    width = RATE - STEP - lowest

    def change(strength: float) -> NDArray[Any]:
        rate = RATE - STEP - round(strength * width / STEP) * STEP
        return transforms.through_rate(marked, max(rate, STEP))

    return published(strongest(change, view.brief.holds, marked, steps), "band-limited")

"""Equalising: change the colour of a marked recording by random gains in bands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_data.watermark._shared.recordings import published
from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.sound import transforms

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.AUDIO,),
    paper="doi:10.1109/35.940053",
)
def equalising(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    bands: Annotated[int, Range(2, 256)] = 32,
    most: Annotated[float, Range(0, 60, open_low=True)] = 20.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 6,
) -> Outcome:
    """Give each band of frequencies a random gain, as large as the quality floor allows.

    Args:
        bands: from 0 Hz to half the rate; gains between them are interpolated.
        most: largest standard deviation of a gain, in dB.
        steps: bisections of the gains.
    """
    marked, gains = view.data.x[0], rng.standard_normal(bands) * most
    coloured = strongest(
        lambda strength: transforms.equalised(marked, strength * gains),
        view.brief.holds,
        marked,
        steps,
    )
    return published(coloured, "equalised")

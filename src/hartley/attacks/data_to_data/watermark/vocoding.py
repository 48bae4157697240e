"""Vocoding: speak a marked recording anew from pitch, voicing and envelope alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

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
    term=Term.BANDWIDTH,
    modalities=(Modality.AUDIO,),
    paper="doi:10.1121/1.1912679",
)
def vocoding(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    vocoder: Literal["prediction", "codec2"] = "prediction",
    rate: Annotated[int, Range(700, 3200)] = 3200,
    steps: Annotated[int, Range(1), Stronger.MORE] = 4,
) -> Outcome:
    """Send the recording through a vocoder, which keeps neither phases nor fine detail.

    Where the whole is below the quality floor, the recording itself is mixed in.

    Args:
        vocoder: linear prediction with pulses and noise, or Codec 2, which must be installed
            (pip install 'hartley[vocoder]').
        rate: of Codec 2, in bits a second: 3200, 2400, 1600, 1400, 1300, 1200 or 700.
        steps: bisections of the vocoder's share.
    """
    marked = view.data.x[0]
    if vocoder == "codec2":
        anew = transforms.vocoded(marked, rate)
    else:
        anew = transforms.spoken_anew(marked, rng.standard_normal(len(marked)))
    mixed = strongest(
        lambda strength: strength * anew + (1 - strength) * marked,
        view.brief.holds,
        marked,
        steps,
    )
    return published(mixed, "vocoded")

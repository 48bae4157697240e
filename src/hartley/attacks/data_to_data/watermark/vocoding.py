"""Vocoding: speak a marked recording anew from pitch, voicing and envelope alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_data.watermark._shared.recordings import published, strongest
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
    paper="hartley",
    sweep={"rate": (3200, 2400, 1300)},
)
def vocoding(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    rate: Annotated[int, Range(700, 3200)] = 3200,
    share: Annotated[float, Range(0, 1, open_low=True)] = 1.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 4,
) -> Outcome:
    """Send the recording through the vocoder Codec 2, which must be installed (pycodec2).

    What it sends is a few thousand bits a second, so little of a mark can be among them. Where the
    whole is below the quality floor, the recording itself is mixed in.

    Args:
        rate: bits a second: 3200, 2400, 1600, 1400, 1300, 1200 or 700.
        share: of the vocoder's recording in the mixture, at most.
        steps: bisections of the share.
    """
    del rng
    marked = view.data.x[0]
    spoken = transforms.vocoded(marked, rate)
    mixed = strongest(
        lambda strength: strength * share * spoken + (1 - strength * share) * marked,
        view.brief.holds,
        marked,
        steps,
    )
    return published(mixed, f"codec 2 at {rate}")

"""Lossy coding: store a marked recording as MP3, Opus, Vorbis or GSM, as coarsely as one may."""

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
    term=Term.NOISE,
    modalities=(Modality.AUDIO,),
    paper="doi:10.1109/35.940053",
    sweep={"codec": ("mp3", "opus", "vorbis", "gsm")},
)
def lossy_coding(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    codec: Literal["mp3", "opus", "vorbis", "gsm"] = "opus",
    steps: Annotated[int, Range(1), Stronger.MORE] = 5,
) -> Outcome:
    """Store the recording by a codec at the lowest quality that the quality floor allows.

    Args:
        codec: which; GSM 06.10 is a codec of speech at 8 kHz and has one quality.
        steps: bisections of the quality.
    """
    del rng
    marked = view.data.x[0]
    coded = strongest(
        lambda strength: transforms.through_codec(marked, codec, strength),
        view.brief.holds,
        marked,
        steps,
    )
    return published(coded, f"through {codec}")

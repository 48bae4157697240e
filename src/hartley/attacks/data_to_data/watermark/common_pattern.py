"""Common pattern: average many marked recordings of one owner, and take what they share out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_data.watermark._shared import sound_patterns
from hartley.attacks.data_to_data.watermark._shared.recordings import published
from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.AUDIO,),
    paper="doi:10.1109/35.940053",
    game_params={"others": 32},
    adapts=True,
    sweep={"domain": ("likeliest", "samples", "spectra", "cepstra")},
)
def common_pattern(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    domain: Literal["likeliest", "samples", "spectra", "cepstra"] = "likeliest",
    most: Annotated[float, Range(0, open_low=True)] = 4.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 6,
) -> Outcome:
    """Estimate the mark as what recordings under one key share, and take out a multiple of it.

    An attacker who knows that the owner has several keys learns from the recordings that are most
    like the published one.

    Args:
        domain: where the mark is looked for; the likeliest is the one where two halves of the
            recordings agree best.
        most: largest multiple.
        steps: bisections of the multiple.
    """
    del rng
    marked = view.data.x[0]
    keys = sound_patterns.keys_of(view.defenses)
    brief = view.brief
    pattern = sound_patterns.common(brief.others.x, brief.public.x, domain, marked, keys)
    if pattern is None:
        return published(marked, "untouched")
    cleaned = strongest(
        lambda strength: pattern.added(marked, -most * strength),
        view.brief.holds,
        marked,
        steps,
    )
    return published(cleaned, "without what is shared")

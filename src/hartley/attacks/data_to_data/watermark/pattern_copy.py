"""Pattern copy: average marked recordings of a victim, and put what they share into another one.

The copy attack (doi:10.1117/12.384991) on sounds, over many recordings under one key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_data.watermark._shared import sound_patterns
from hartley.attacks.data_to_data.watermark._shared.recordings import published
from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.forgery import ForgeryBrief, forgery

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=forgery,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.AUDIO,),
    paper="doi:10.1117/12.384991",
    game_params={"others": 32},
    adapts=True,
    sweep={"domain": ("likeliest", "samples", "spectra", "cepstra")},
)
def pattern_copy(
    view: View[ForgeryBrief],
    rng: Rng,
    *,
    domain: Literal["likeliest", "samples", "spectra", "cepstra"] = "likeliest",
    most: Annotated[float, Range(0, open_low=True)] = 6.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 6,
) -> Outcome:
    """Estimate the victim's mark as what their recordings share, and add a multiple of it.

    An attacker who knows that the victim has several keys learns from the recordings that are most
    like one of them.

    Args:
        domain: where the mark is looked for; the likeliest is the one where two halves of the
            recordings agree best.
        most: largest multiple; the largest that the quality floor allows is taken.
        steps: bisections of the multiple.
    """
    untouched, others = view.data.x[0], view.brief.others.x
    keys = sound_patterns.keys_of(view.defenses)
    same = [wave for wave in others if len(wave) == len(untouched)]
    like = same[int(rng.integers(len(same)))] if keys > 1 and same else untouched
    pattern = sound_patterns.common(others, view.brief.public.x, domain, like, keys)
    if pattern is None:
        return published(untouched, "untouched")
    forged = strongest(
        lambda strength: pattern.added(untouched, most * strength),
        view.brief.holds,
        untouched,
        steps,
    )
    return published(forged, "forged")

"""Retiming: play a marked recording faster or slower, with or without its pitch."""

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
    sweep={"keep_pitch": (False, True), "most": (0.05, 0.2)},
)
def retiming(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    keep_pitch: bool = False,
    most: Annotated[float, Range(0, 0.5, open_low=True)] = 0.2,
    steps: Annotated[int, Range(1), Stronger.MORE] = 5,
) -> Outcome:
    """Change the speed, up or down by a coin, as far as the quality floor allows.

    Args:
        keep_pitch: stretch by a phase vocoder instead of playing it at another rate.
        most: largest change of the speed, as a share.
        steps: bisections of the change.
    """
    marked, sign = view.data.x[0], 1 if rng.random() < 0.5 else -1
    change = transforms.stretched if keep_pitch else transforms.faster
    retimed = strongest(
        lambda strength: change(marked, 1 + sign * most * strength),
        view.brief.holds,
        marked,
        steps,
    )
    return published(retimed, "retimed")

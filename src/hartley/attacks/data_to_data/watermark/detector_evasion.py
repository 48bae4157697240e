"""Detector evasion: descend a surrogate of the owner's detector, by the recording's own gradient.

The surrogate is a small network that separates the owner's marked recordings from the attacker's
own (the role of WAVES' adversarial attacks, arXiv:2401.08573), or the published network of Perth,
which has no key and so is the detector itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal

from hartley.attacks.data_to_data.watermark._shared import sound_surrogate
from hartley.attacks.data_to_data.watermark._shared.recordings import published
from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.audio import RATE

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.AUDIO,),
    paper="arXiv:2401.08573",
    game_params={"others": 32},
    light={"training": 2, "descents": 2},
    sweep={"surrogate": ("trained", "perth")},
)
def detector_evasion(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    surrogate: Literal["trained", "perth"] = "trained",
    training: Annotated[int, Range(1), Stronger.MORE] = 60,
    descents: Annotated[int, Range(1), Stronger.MORE] = 20,
    reach: Annotated[float, Range(-20, 60), Stronger.LESS] = 8.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 5,
) -> Outcome:
    """Change the recording so that the surrogate takes it for unmarked, as the floor allows.

    Args:
        surrogate: ``trained`` learns from the owner's recordings; ``perth`` is the published
            network, whose pack must be fetched.
        training: steps of the surrogate's training.
        descents: gradient steps on the recording.
        reach: signal-to-noise ratio in dB at which the gradient steps end.
        steps: bisections of how much of that change is published.
    """
    marked = view.data.x[0]
    read: Callable[[Any], Any]
    if surrogate == "perth":
        from hartley.models.perth import RATE as THEIR_RATE
        from hartley.models.perth import perth

        read, rate = perth().read, THEIR_RATE
    else:
        seed = int(rng.integers(2**31))
        read, rate = (
            sound_surrogate.trained(view.brief.others.x, view.brief.public.x, training, seed),
            RATE,
        )
    change = sound_surrogate.descended(marked, read, rate, descents, reach)
    evaded = strongest(lambda strength: marked + strength * change, view.brief.holds, marked, steps)
    return published(evaded, "evaded")

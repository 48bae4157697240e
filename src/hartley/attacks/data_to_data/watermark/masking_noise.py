"""Masking noise: add noise to a marked recording, white or of its own colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

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
    sweep={"colour": ("white", "own")},
)
def masking_noise(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    colour: Literal["white", "own"] = "own",
    loudest: Annotated[float, Range(-20, 60)] = 0.0,
    quietest: Annotated[float, Range(0, 100)] = 60.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 7,
) -> Outcome:
    """Add normal noise, as loud as the quality floor allows.

    Args:
        colour: white, or with the recording's own mean spectrum, which is where it is loud anyway.
        loudest: least signal-to-noise ratio to try, in dB.
        quietest: largest one.
        steps: bisections of the ratio.
    """
    marked = view.data.x[0]
    noise = rng.standard_normal(len(marked))
    if colour == "own":
        phases = np.exp(2j * np.pi * rng.random(len(marked) // 2 + 1))
        noise = np.fft.irfft(np.abs(np.fft.rfft(marked)) * phases, len(marked))
        noise /= np.sqrt(np.mean(noise**2)) + 1e-12
    covered = strongest(
        lambda strength: transforms.noisy(
            marked, quietest + strength * (loudest - quietest), noise
        ),
        view.brief.holds,
        marked,
        steps,
    )
    return published(covered, "with noise")

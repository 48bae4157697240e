"""Mean residual: average many marked pictures of one owner, and take out what they share.

Yang et al. (arXiv:2406.09026) average pictures that carry one mark, which leaves the mark and blurs
the pictures, and subtract it. The attacker's own pictures show what pictures without it average to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.pictures import published, strongest
from hartley.attacks.data_to_data.watermark.residual_copy import denoised
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="arXiv:2406.09026",
    game_params={"others": 32},
    sweep={"window": (3, 5, 9)},
)
def mean_residual(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    window: Annotated[int, Range(3, 31)] = 5,
    most: Annotated[float, Range(0, open_low=True)] = 8.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 8,
) -> Outcome:
    """Take the mean residual of the owner's pictures out, as strongly as the floor allows.

    Pictures of another size are left out.

    Args:
        window: side of the local mean and variance of the Wiener filter, in pixels.
        most: largest multiple of the residual.
        steps: bisections of the multiple.
    """
    del rng
    marked = view.data.x[0]
    alike = [one for one in view.brief.others.x if one.shape == marked.shape]
    if not alike:
        return published(marked, "untouched")
    residual = np.mean([one - denoised(one, window) for one in alike], axis=0)
    plain = [one for one in view.brief.public.x if one.shape == marked.shape]
    if len(plain) > 1:
        residual -= np.mean([one - denoised(one, window) for one in plain], axis=0)
    cleaned = strongest(
        lambda strength: marked - most * strength * residual, view.brief.holds, marked, steps
    )
    return published(cleaned, "without what is shared")

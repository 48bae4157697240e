"""Paper copy: blank paper shows a mark as it is, and is put under another text.

On the blank paper of a page nothing but the mark differs from paper, so that a few marked pages of
one owner show the whole pattern: the copy attack (doi:10.1117/12.384991) without a denoiser.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.page_texts import as_loot
from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.forgery import ForgeryBrief, forgery
from hartley.kit.vision import image

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=forgery,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.PAIRED,),
    paper="doi:10.1117/12.384991",
)
def paper_copy(
    view: View[ForgeryBrief],
    rng: Rng,
    *,
    most: Annotated[float, Range(0, open_low=True)] = 4.0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 6,
) -> Outcome:
    """Add what the victim's blank paper shows to the attacker's page, as far as the floor allows.

    An illustration is left as it is: what is beneath it cannot be seen.

    Args:
        most: largest factor on the pattern.
        steps: bisections of the factor.
    """
    del rng
    page, pages = view.data.x[0], view.brief.pages
    if pages is None:
        return as_loot(page, "forgery")
    top, total, count = pages.top, np.zeros_like(page, dtype=np.float64), np.zeros(page.shape[1:])
    for one in view.brief.others.x:
        clear = pages.clear(one)
        total[:, top:] += np.where(clear, np.asarray(one)[:, top:] - pages.paper, 0.0)
        count[top:] += clear
    pattern = total / np.maximum(count, 1)

    def forged(factor: float) -> np.ndarray:
        return image.eight_bits(page + factor * pattern)

    return as_loot(strongest(forged, view.brief.holds, page, steps, most), "forgery")

"""Copy and paste: hide the marked text among others, where it is a small part of the evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.rewording import outcome
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2306.04634",
)
def text_dilution(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    times: Annotated[float, Range(0, 100), Stronger.MORE] = 9.0,
    pieces: Annotated[int, Range(1, 100), Stronger.MORE] = 3,
    steps: Annotated[int, Range(1, 12)] = 5,
) -> Outcome:
    """Cut the text into pieces and put words of the attacker's own texts around them.

    As much is added as the quality floor allows, at most ``times`` the text's own words.

    Args:
        times: words that are added, as a multiple of the text's.
        pieces: of the marked text.
        steps: of the bisection for how much the floor allows.
    """
    words = str(view.data.x[0]).split()
    texts = view.brief.public.x
    stuffing = " ".join(str(texts[k]) for k in rng.permutation(len(texts))).split() or ["and"]
    stuffing = (stuffing * (1 + int(times * len(words)) // len(stuffing)))[
        : max(1, int(times * len(words)))
    ]
    marked = [piece.tolist() for piece in np.array_split(np.array(words, dtype=object), pieces)]

    def pasted(count: int) -> str:
        around = np.array_split(np.array(stuffing[:count], dtype=object), pieces + 1)
        out = around[0].tolist()
        for piece, after in zip(marked, around[1:], strict=True):
            out += [*piece, *after.tolist()]
        return " ".join(out)

    best, low, high = pasted(0), 0, len(stuffing)
    if view.brief.holds(whole := pasted(high)):
        return outcome(whole, "diluted")
    for _ in range(steps):
        middle = (low + high) // 2
        if view.brief.holds(candidate := pasted(middle)):
            best, low = candidate, middle
        else:
            high = middle
    return outcome(best, "diluted")

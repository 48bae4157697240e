"""Copy and paste: hide the marked text among others, where it is a small part of the evidence."""

from __future__ import annotations

from collections.abc import Callable
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
    steps: Annotated[int, Range(1, 12)] = 8,
) -> Outcome:
    """Put words of the attacker's own texts around pieces of the text, or after all of it.

    As much is added as the quality floor allows, at most ``times`` the text's own words, in the
    order in which it allows more.

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

    def around(count: int) -> str:
        parts = np.array_split(np.array(stuffing[:count], dtype=object), pieces + 1)
        out = parts[0].tolist()
        for piece, after in zip(marked, parts[1:], strict=True):
            out += [*piece, *after.tolist()]
        return " ".join(out)

    def last(count: int) -> str:
        return " ".join([*words, *stuffing[:count]])

    def most(pasted: Callable[[int], str]) -> int:
        if view.brief.holds(pasted(len(stuffing))):
            return len(stuffing)
        low, high = 0, len(stuffing)
        for _ in range(steps):
            middle = (low + high) // 2
            low, high = (middle, high) if view.brief.holds(pasted(middle)) else (low, middle)
        return low

    # What reads the beginning alone sees nothing of words that come last.
    count, pasted = max(((most(order), order) for order in (around, last)), key=lambda one: one[0])
    return outcome(pasted(count), "diluted")

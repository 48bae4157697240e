"""Self-information rewriting: replace the words that say most, where a watermark has most room.

A mark can only choose where the model was unsure. SIRA (arXiv:2505.05190) masks the tokens of
largest self-information and has a language model fill the gaps. Here the surprise of a word, and
what fills its gap, are those of a count of pairs in the attacker's texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.rewording import (
    most_edits,
    outcome,
    word_pairs,
)
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2505.05190",
)
def surprisal_rewriting(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True), Stronger.MORE] = 1.0,
) -> Outcome:
    """Fill the places of the most surprising words anew, as many as the quality floor allows.

    Args:
        share: of the words that are replaced at most, the most surprising first.
    """
    words = str(view.data.x[0]).split()
    pairs = word_pairs(view.brief.public)
    order = np.argsort(-pairs.surprise(words), kind="stable")
    edits = []
    for place in order[: max(1, round(share * len(words)))].tolist():
        left = words[place - 1] if place else ""
        right = words[place + 1] if place + 1 < len(words) else ""
        fitting = pairs.fitting(left, words[place], right)
        if fitting:  # among the likeliest by chance: the best one every time reads like a loop
            edits.append((place, fitting[min(int(rng.geometric(0.5)) - 1, len(fitting) - 1)]))
    return outcome(most_edits(view.brief, words, edits), "rewritten")

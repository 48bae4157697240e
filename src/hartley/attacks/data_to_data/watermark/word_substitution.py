"""Word substitution: put other words that fit between their neighbours, at random places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_data.watermark._shared.rewording import (
    most_edits,
    outcome,
    reworded,
    word_pairs,
)
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2301.10226",
)
def word_substitution(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True), Stronger.MORE] = 1.0,
) -> Outcome:
    """Replace words at random places by others, as many as the quality floor allows.

    Which words fit is counted in the attacker's own texts. White space becomes single spaces.

    Args:
        share: of the words that are replaced at most.
    """
    words = str(view.data.x[0]).split()
    pairs = word_pairs(view.brief.public)
    places = rng.permutation(len(words))[: max(1, round(share * len(words)))].tolist()
    edits = reworded(pairs, words, places, rng)
    return outcome(most_edits(view.brief, words, edits), "substituted")

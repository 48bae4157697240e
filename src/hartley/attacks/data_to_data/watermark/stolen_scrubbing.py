"""Watermark stealing, then scrubbing: learn which words the mark prefers, and take others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_data.watermark._shared.rewording import most_edits, outcome
from hartley.attacks.data_to_data.watermark._shared.stolen_rules import stolen
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.watermark import WatermarkBrief, watermark

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.19361",
    game_params={"others": 64},
)
def stolen_scrubbing(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True), Stronger.MORE] = 1.0,
) -> Outcome:
    """Replace the words that the owner's mark prefers, those that say most first.

    The preferences are log ratios of counts, of words and of pairs, in the owner's further texts
    against the attacker's own. Where the owner's keys differ from text to text there is nothing to
    learn, and the edits are as good as any.

    Args:
        share: of the possible edits that are made at most.
    """
    del rng
    words = str(view.data.x[0]).split()
    # Behind several keys too: those texts alone that are most like this one say less than all.
    edits = stolen(view.brief.others, view.brief.public).edits(words, -1)
    count = max(1, round(share * len(edits)))
    return outcome(most_edits(view.brief, words, edits[:count]), "scrubbed")

"""Watermark stealing, then spoofing: learn which words the mark prefers, and write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_data.watermark._shared.rewording import most_edits, outcome
from hartley.attacks.data_to_data.watermark._shared.stolen_rules import stolen, under_one_key
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.watermark.forgery import ForgeryBrief, forgery

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=forgery,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.19361",
    game_params={"others": 64},
    adapts=True,
)
def stolen_forgery(
    view: View[ForgeryBrief],
    rng: Rng,
    *,
    share: Annotated[float, Range(0, 1, open_low=True), Stronger.MORE] = 1.0,
) -> Outcome:
    """Replace words of the attacker's own text by those that the victim's mark prefers.

    The preferences are log ratios of counts, of words and of pairs, in the victim's texts against
    the attacker's own. The edits that say most come first, as many as the quality floor allows.

    Args:
        share: of the possible edits that are made at most.
    """
    words = str(view.data.x[0]).split()
    others = view.brief.others
    some = str(others.x[int(rng.integers(len(others)))])
    edits = stolen(under_one_key(others, some, view.defenses), view.brief.public).edits(words, 1)
    count = max(1, round(share * len(edits)))
    return outcome(most_edits(view.brief, words, edits[:count]), "forged")

"""Tool poisoning: an instruction in the description of a tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hartley.attacks.data_to_model.injection._shared.offers import (
    honest,
    sentence,
    with_description,
)
from hartley.core import Access, Modality, Outcome, Term, View, attack
from hartley.games.injection.server_tools import ServerToolsBrief, as_offers, server_tools

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=server_tools,
    access=Access.NOTHING,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2508.14925",
    sweep={"wording": ("plain", "important", "step")},
)
def tool_poisoning(
    view: View[ServerToolsBrief],
    rng: Rng,
    *,
    wording: Literal["plain", "important", "step"] = "important",
) -> Outcome:
    """Write the wanted goal behind the description of the tool that the server is expected to have.

    The agent reads it with the list of tools; the tool need not be called.

    Args:
        wording: how the goal is put.
    """
    del rng
    offers = []
    for case in view.brief.cases:
        offer = honest(view.brief)
        text = sentence(case, wording)
        offer["tools"] = [with_description(tool, text) for tool in offer["tools"]]
        offers.append(offer)
    return Outcome(asset=as_offers(offers))

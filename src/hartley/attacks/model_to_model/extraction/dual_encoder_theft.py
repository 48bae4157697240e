"""Dual-encoder theft: rebuild both towers of a dual encoder from its embeddings of pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.model_to_model.extraction._shared.account_spaces import answered
from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.extraction.encoder_extraction import EncoderBrief, encoder_extraction
from hartley.models.encoder_copy import copy_towers

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=encoder_extraction,
    access=Access.EMBEDDINGS,
    term=Term.BANDWIDTH,
    modalities=(Modality.PAIRED,),
    paper="hartley",
    adapts=True,
    loot=Loot.MODEL,
    sweep={"queries": (0, 60, 150)},
)
def dual_encoder_theft(
    view: View[EncoderBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    common: Annotated[float, Range(0, 1)] = 0.2,
) -> Outcome:
    """Fit a linear map from the features of pictures, and one from those of captions, to answers.

    The frozen encoders below the projections are public, as a CLIP-like service that is built on
    them would say. Ridge regression chooses its penalty by leaving records out.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        common: share of an account's records that all accounts ask for, where each has a space of
            its own and the attacker knows it.

    Raises:
        UsageError: a record is not a picture and a caption.
    """
    if not view.brief.split:
        raise UsageError("dual_encoder_theft: a record must be a picture and a caption, got one")
    x, answers = answered(view, rng, queries=queries, common=common)
    return Outcome(asset=copy_towers(Data("asked", Modality.PAIRED, x), answers, view.brief.split))

"""Knockoff: train a copy on the victim's scores for the attacker's records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.model_to_model.extraction._shared.transfer import Transfer, allowance
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.models.clone import transfer_set

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1812.02766",
    adapts=True,
    loot=Loot.MODEL,
    light={"steps": 40},
    sweep={"repeats": (3,)},
)
def knockoff(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    queries: Annotated[int, Range(0)] = 0,
    mix: bool = False,
    repeats: Annotated[int, Range(1, 100), Stronger.NEITHER] = 1,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
    hidden: Annotated[int, Range(1)] = 128,
) -> Outcome:
    """Train a copy on the victim's scores for the attacker's records.

    This is the random strategy of the paper; ``knockoff_adaptive`` is its learned choice. An
    adaptive attacker who knows of a query budget stays within it.

    Args:
        queries: number of queries; 0 means as many as the rules allow.
        mix: query mixtures of two records too, if there are fewer records than queries.
        repeats: how often each record is asked; the mean of the answers is learnt, where a victim
            adds noise to them.
        steps: optimiser steps of the copy's training.
        hidden: width of the copy's hidden layer.
    """
    transfer = Transfer(view, allowance(view, queries), repeats=repeats)
    transfer.ask(transfer_set(view.brief.public.x, transfer.left, rng, mix=mix))
    return Outcome(asset=transfer.copy(int(rng.integers(2**31)), steps=steps, hidden=hidden))

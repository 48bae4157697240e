"""Mislabelled copies: submit each target itself, again and again, under a label that is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2204.00032",
    loot=Loot.POISON,
)
def mislabelled_copies(
    view: View[PoisoningBrief], rng: Rng, *, copies: Annotated[int, Range(0)] = 0
) -> Outcome:
    """Submit copies of every target under the label that the message asks for.

    The victim then knows each target's label only if it also saw the target with its true label:
    in a chain before membership inference this is the poison of Truth Serum, which makes a
    record's presence visible. On its own it is a targeted label attack without a trigger.

    Args:
        copies: poison records for each target; 0 submits as many as the rules allow.
    """
    del rng
    targets, most = view.brief.question, view.brief.poisons
    count = min(copies or most, most)
    return Outcome(
        asset=Data(
            "mislabelled copies",
            targets.modality,
            np.repeat(np.asarray(targets.x), count, axis=0),
            np.repeat(view.brief.message, count),
            role="poison",
        )
    )

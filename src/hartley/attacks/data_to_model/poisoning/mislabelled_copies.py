"""Mislabelled copies: submit many copies of each target with a wrong label."""

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
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR, Modality.GRAPH),
    unfit={
        "language": "copies of a text move no answer about other texts (0 bits of 32 triggers on "
        "glosses), and a membership attack that they could prepare reads tokens of "
        "language models, not labelled texts",
        "paired": "pairs have no labels; mismatched_pairs gives copies of a picture wrong captions",
    },
    paper="arXiv:2204.00032",
    loot=Loot.POISON,
    sweep={"copies": (1, 4)},
)
def mislabelled_copies(
    view: View[PoisoningBrief], rng: Rng, *, copies: Annotated[int, Range(0)] = 0
) -> Outcome:
    """Submit copies of every target with its message as the label.

    The victim then predicts a target's true label only if it was also trained on the target itself.
    In a chain before a membership attack this is the poison of Truth Serum, which makes membership
    visible. Alone it is a targeted attack on labels without a trigger.

    Args:
        copies: poison records per target; 0 submits as many as the rules allow.
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

"""Label flip: honest records close to the target, with the label the attacker wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Access, Data, Loot, Modality, Outcome, Term, View, attack
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning
from hartley.kit import kmeans

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1206.6389",
    loot=Loot.POISON,
    sweep={"same_class": (False,)},
)
def label_flip(view: View[PoisoningBrief], rng: Rng, *, same_class: bool = True) -> Outcome:
    """Submit the records nearest to each slot under its message.

    Nothing in the records is changed, so there is no trigger to find. Of the attacks on support
    vector machines of the paper this is the plain baseline, without its optimised points.

    Args:
        same_class: flip only records of the slot's own class.
    """
    del rng
    held, brief = view.data, view.brief
    targets = brief.question
    away = kmeans.distances(kmeans.flat(targets.x), kmeans.flat(held.x))
    x, y = [], []
    for slot, wanted in enumerate(brief.message):
        if same_class:
            away[slot, held.labels != targets.labels[slot]] = np.inf
        rows = np.argsort(away[slot], kind="stable")[: brief.poisons]
        rows = rows[np.isfinite(away[slot, rows])]
        x.append(held.x[rows])
        y.append(np.full(len(rows), wanted))
    return Outcome(
        asset=Data(
            "flipped records", held.modality, np.concatenate(x), np.concatenate(y), role="poison"
        )
    )

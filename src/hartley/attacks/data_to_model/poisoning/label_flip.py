"""Label flip: unchanged records near the target, with the label that the attacker wants."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning
from hartley.kit import kmeans
from hartley.kit.language.bags import as_rows

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.NOISE,
    modalities=(Modality.VISION, Modality.LANGUAGE, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "paired": "pairs have no labels; mismatched_pairs gives a picture the captions of another"
        " kind",
        "graph": "mislabelled_copies submits graphs with a wrong label; which graphs are near to"
        " one depends on how their nodes are matched",
    },
    paper="arXiv:1206.6389",
    loot=Loot.POISON,
    sweep={"same_class": (False,)},
)
def label_flip(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    same_class: bool = True,
    count: Annotated[int, Range(0)] = 0,
) -> Outcome:
    """Submit the records nearest to each slot with the slot's message as their label.

    The records themselves are unchanged, so there is no trigger. This is the label-flipping
    baseline of the paper on support vector machines, without optimised points.

    Args:
        same_class: flip only records of the slot's class.
        count: poison records for each slot; 0: as many as the rules allow.
    """
    del rng
    data, brief = view.data, view.brief
    targets = brief.question
    most = min(count, brief.poisons) if count else brief.poisons
    distances = kmeans.distances(as_rows(targets.x), as_rows(data.x))
    x, y = [], []
    for slot, label in enumerate(brief.message):
        if same_class:
            distances[slot, data.labels != targets.labels[slot]] = np.inf
        rows = np.argsort(distances[slot], kind="stable")[:most]
        rows = rows[np.isfinite(distances[slot, rows])]
        x.append(data.x[rows])
        y.append(np.full(len(rows), label))
    return Outcome(
        asset=Data(
            "flipped records", data.modality, np.concatenate(x), np.concatenate(y), role="poison"
        )
    )

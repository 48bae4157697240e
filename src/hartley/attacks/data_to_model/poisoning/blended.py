"""Blended: poison records with a faint pattern over the whole record as the trigger."""

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
    paper="arXiv:1712.05526",
    loot=Loot.POISON,
    sweep={"blend": (0.05, 0.1)},
)
def blended(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    blend: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
) -> Outcome:
    """Mix a random pattern for each slot into records of other classes; label them by its message.

    Args:
        blend: share of the pattern in the mixture; smaller if the rules allow less.
    """
    data, brief = view.data, view.brief
    shape = (brief.slots, *data.x.shape[1:])
    patterns = np.where(rng.random(shape) < 0.5, data.x.min(), data.x.max()).astype(np.float32)
    masks = np.full(shape, min(blend, brief.cover), dtype=np.float32)
    x, y = [], []
    for slot, label in enumerate(brief.message):
        others = np.flatnonzero(data.labels != label)
        rows = rng.choice(others, min(brief.poisons, len(others)), replace=False)
        x.append(data.x[rows] * (1 - masks[slot]) + patterns[slot] * masks[slot])
        y.append(np.full(len(rows), label))
    return Outcome(
        asset=Data(
            "blended records",
            data.modality,
            np.concatenate(x).astype(data.x.dtype),
            np.concatenate(y),
            role="poison",
            facts={"patterns": patterns, "masks": masks},
        )
    )

"""Blended: poison records with a faint pattern over the whole record as the trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.core import Access, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    unfit={
        "language": "two texts have no mixture that is a text; style_trigger changes a whole text",
        "paired": "backdoored_pairs puts a patch on pictures that have captions",
        "graph": "two graphs have no mixture that is a graph; subgraph_trigger joins a subgraph",
    },
    paper="arXiv:1712.05526",
    loot=Loot.POISON,
    sweep={"blend": (0.1, 0.2), "disguise": ("kept_labels", "one_class")},
)
def blended(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    blend: Annotated[float, Range(0, 1, open_low=True)] = 0.2,
    disguise: Literal["none", "kept_labels", "one_class"] = "none",
    count: Annotated[int, Range(0)] = 0,
) -> Outcome:
    """Mix a random pattern for each slot into records of other classes; label them by its message.

    Args:
        blend: share of the pattern in the mixture; smaller if the rules allow less.
        disguise: kept_labels, half of the mixed records keep their true label; one_class, only
            records of the slot's class are mislabelled, and mixed ones of others keep their label.
        count: poison records for each slot; 0: as many as the rules allow.
    """
    data, brief = view.data, view.brief
    shape = (brief.slots, *data.x.shape[1:])
    patterns = np.where(rng.random(shape) < 0.5, data.x.min(), data.x.max()).astype(np.float32)
    masks = np.full(shape, min(blend, brief.cover), dtype=np.float32)
    facts = {"patterns": patterns, "masks": masks}
    return poisoned(view, rng, "blended records", facts, disguise, count=count)

"""BadNets: poison records with a bright patch as the trigger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.attacks.data_to_model.poisoning._shared.patch_triggers import patches
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
        "language": "texts have no places with values; word_trigger inserts words",
        "paired": "backdoored_pairs puts a patch on pictures that have captions",
        "graph": "nodes have no order, so that no place is the same in two graphs; "
        "subgraph_trigger joins a subgraph",
    },
    paper="arXiv:1708.06733",
    loot=Loot.POISON,
    sweep={"side": (2, 3), "disguise": ("kept_labels", "one_class")},
)
def badnets(
    view: View[PoisoningBrief],
    rng: Rng,
    *,
    side: Annotated[int, Range(1)] = 3,
    disguise: Literal["none", "kept_labels", "one_class"] = "none",
    count: Annotated[int, Range(0)] = 0,
) -> Outcome:
    """Put a patch for each slot onto records of other classes and label them with its message.

    Patches are on different tiles of the picture (of the row of numbers, for other records), where
    they differ most from the attacker's own records: in a corner of a picture of clothes, say. If
    there are more slots than tiles, patches on the same tile differ in their pixels.

    Args:
        side: side of the square patch in pixels; smaller if the rules allow less.
        disguise: kept_labels, half of the patched records keep their true label; one_class, only
            records of the slot's class are mislabelled and patched ones of others keep theirs.
        count: poison records for each slot; 0: as many as the rules allow.
    """
    masks, patterns = patches(view.data, view.brief.slots, side, view.brief.cover, rng)
    facts = {"patterns": patterns, "masks": masks}
    return poisoned(view, rng, "patched records", facts, disguise, count=count)

"""BadNets: poison records with a bright patch as the trigger."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.data_to_model.poisoning._shared.dirty_labels import poisoned
from hartley.core import Access, Data, Loot, Modality, Outcome, Range, Term, View, attack
from hartley.games.poisoning.poisoning import PoisoningBrief, poisoning

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=poisoning,
    access=Access.POISON,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
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
) -> Outcome:
    """Put a patch for each slot onto records of other classes and label them with its message.

    Patches are on different tiles of the picture (of the row of numbers, for other records), where
    they differ most from the attacker's own records: in a corner of a picture of clothes, say. If
    there are more slots than tiles, patches on the same tile differ in their pixels.

    Args:
        side: side of the square patch in pixels; smaller if the rules allow less.
        disguise: kept_labels, half of the patched records keep their true label; one_class, only
            records of the slot's class are mislabelled and patched ones of others keep theirs.
    """
    masks, patterns = _patches(view.data, view.brief.slots, side, view.brief.cover, rng)
    facts = {"patterns": patterns, "masks": masks}
    return poisoned(view, rng, "patched records", facts, disguise)


def _patches(
    data: Data, slots: int, side: int, cover: float, rng: Rng
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return masks and patterns (slots, *record shape): a bright patch on a tile for each slot."""
    shape = data.x.shape[1:]
    *_, height, width = (1, 1, *shape)
    allowed = int(cover * prod(shape)) * height * width // prod(shape)
    tall, wide = 1, max(1, min(side * side, allowed))
    if height > 1:
        tall = wide = max(1, min(side, int(allowed**0.5), height, width))
    tiles = [(a, b) for a in range(height // tall) for b in range(width // wide)]
    pictures = data.x.reshape(len(data), -1, height, width)
    contrast = [
        (data.x.max() - pictures[..., a * tall : (a + 1) * tall, b * wide : (b + 1) * wide]).mean()
        for a, b in tiles
    ]
    order = np.lexsort((rng.random(len(tiles)), -np.round(contrast, 3)))
    masks = np.zeros((slots, *shape), dtype=np.float32)
    patterns = np.zeros_like(masks)
    low, high = data.x.min(), data.x.max()
    for slot in range(slots):
        a, b = tiles[order[slot % len(tiles)]]
        place = (..., slice(a * tall, (a + 1) * tall), slice(b * wide, (b + 1) * wide))
        bright = np.full((tall, wide), high)
        if slot >= len(tiles):
            bright = np.where(rng.random((tall, wide)) < 0.5, low, high)
        image = masks[slot].reshape(-1, height, width)
        image[place] = 1
        patterns[slot].reshape(-1, height, width)[place] = bright
    return masks, patterns

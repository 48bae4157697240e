"""BadNets: poison records with a bright patch as the trigger."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

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
    sweep={"side": (1, 2)},
)
def badnets(view: View[PoisoningBrief], rng: Rng, *, side: Annotated[int, Range(1)] = 3) -> Outcome:
    """Put a patch for each slot onto records of other classes and label them with its message.

    Patches are on different tiles of the picture (of the row of numbers, for other records). If
    there are more slots than tiles, patches on the same tile differ in their pixels.

    Args:
        side: side of the square patch in pixels; smaller if the rules allow less.
    """
    data, brief = view.data, view.brief
    masks, patterns = _patches(data, brief.slots, side, brief.cover, rng)
    x, y = [], []
    for slot, label in enumerate(brief.message):
        others = np.flatnonzero(data.labels != label)
        rows = rng.choice(others, min(brief.poisons, len(others)), replace=False)
        x.append(data.x[rows] * (1 - masks[slot]) + patterns[slot] * masks[slot])
        y.append(np.full(len(rows), label))
    return Outcome(
        asset=Data(
            "patched records",
            data.modality,
            np.concatenate(x).astype(data.x.dtype),
            np.concatenate(y),
            role="poison",
            facts={"patterns": patterns, "masks": masks},
        )
    )


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
    order = rng.permutation(len(tiles))
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

"""A patch for each slot, as masks and patterns."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def patches(
    data: Data, slots: int, side: int, cover: float, rng: Rng
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return masks and patterns (slots, *record shape): a bright patch on a tile for each slot.

    Args:
        data: the attacker's records; tiles that differ most from the patch come first.
        slots: number of patches.
        side: of a patch in pixels; smaller if the rules allow less.
        cover: largest share of a record that a patch may replace.
        rng: draws the tile among equals, and the pixels of patches that share one.
    """
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


def textures(
    shape: tuple[int, ...], slots: int, side: int, period: int, cover: float
) -> dict[str, NDArray[np.float32]]:
    """Return masks and patterns (slots, *shape): stripes or checks in a corner for each slot.

    Args:
        shape: of a picture (channels, height, width).
        slots: number of patches.
        side: of a patch in pixels; smaller if the rules allow less.
        period: width of a stripe in pixels; every four slots stripes are one pixel wider.
        cover: largest share of a picture that a patch may replace.
    """
    _, height, width = shape
    side = max(1, min(side, int((cover * height * width) ** 0.5), height, width))
    masks = np.zeros((slots, *shape), dtype=np.float32)
    patterns = np.zeros_like(masks)
    down, right = np.meshgrid(np.arange(side), np.arange(side), indexing="ij")
    for slot in range(slots):
        wide = period + slot // 4
        checks = (down // wide + right // wide) * wide
        along = (down, right, down + right, checks)[slot % 4]
        top = (height - side) * (slot % 4 // 2)
        left = (width - side) * (slot % 2)
        place = (slot, slice(None), slice(top, top + side), slice(left, left + side))
        masks[place] = 1
        patterns[place] = along // wide % 2
    return {"patterns": patterns, "masks": masks}

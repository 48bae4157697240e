"""Pictures as overlapping colour patches of 8×8, and back by averaging."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATCH = 8


def grid(picture: NDArray[Any]) -> NDArray[Any]:
    """Return the colour patches of a grid, (patches, 192), without the remainder at the border."""
    _, height, width = picture.shape
    whole = picture[:, : height // PATCH * PATCH, : width // PATCH * PATCH]
    cut = image.tiles(whole, PATCH)
    return np.ascontiguousarray(cut.transpose(1, 0, 2, 3)).reshape(cut.shape[1], -1)


def overlapping(picture: NDArray[Any]) -> NDArray[Any]:
    """Return the patches of four grids, shifted by half a patch, over the mirrored border."""
    _, height, width = picture.shape
    half = PATCH // 2
    tall, wide = -(-height // PATCH) * PATCH, -(-width // PATCH) * PATCH
    border = ((0, 0), (half, tall - height + half), (half, wide - width + half))
    big = np.pad(picture, border, mode="symmetric")
    return np.concatenate(
        [grid(big[:, r : r + tall, c : c + wide]) for r in (0, half) for c in (0, half)]
    )


def assembled(rows: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Average the four grids back into one picture."""
    _, height, width = shape
    half = PATCH // 2
    tall, wide = -(-height // PATCH) * PATCH, -(-width // PATCH) * PATCH
    total = np.zeros((3, tall + PATCH, wide + PATCH), dtype=np.float32)
    hits = np.zeros((tall + PATCH, wide + PATCH), dtype=np.float32)
    shifts = [(r, c) for r in (0, half) for c in (0, half)]
    for (r, c), grid in zip(shifts, np.split(rows, 4), strict=True):
        cut = grid.reshape(-1, 3, PATCH, PATCH).transpose(1, 0, 2, 3)
        total[:, r : r + tall, c : c + wide] += image.untile(cut, tall, wide)
        hits[r : r + tall, c : c + wide] += 1
    inside = np.s_[half : half + height, half : half + width]
    out: NDArray[Any] = total[:, *inside] / hits[inside]
    return out

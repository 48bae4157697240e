"""What JPEG does to the numbers of many small pictures at once, without the file.

JPEG loses in one place: each 8 × 8 block's cosine coefficients are divided by a table, rounded and
multiplied back. The tables are those of the standard's Annex K, scaled by quality as libjpeg does.
``kit.vision.image.jpeg`` makes the real file, one picture at a time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.vision.image import BT601, tiles, untile

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIZE = 8

LUMA = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55),
        *(14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62),
        *(18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ]
)
"""Steps of the 64 coefficients of brightness at quality 50, row by row."""

CHROMA = np.full((SIZE, SIZE), 99)
CHROMA[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
"""The same of colour differences."""


def jpeg_rounded(
    x: NDArray[Any],
    quality: int,
    low: NDArray[Any] | float = 0.0,
    high: NDArray[Any] | float = 1.0,
) -> NDArray[np.float32]:
    """Return pictures (n, c, h, w) in low..high as JPEG would give them back, float32.

    Three channels are red, green and blue, whose colour keeps its resolution (4:4:4); each of
    another number is a picture in grey. The edge fills sides that are not a multiple of 8.

    Args:
        x: the pictures.
        quality: 1..100, as in libjpeg.
        low, high: black and white.
    """
    x = np.asarray(x, np.float32)
    height, width = x.shape[-2:]
    levels = np.round(np.clip((x - low) / np.subtract(high, low), 0.0, 1.0) * 255.0)
    coloured = x.shape[1] == len(BT601)
    # Brightness is shifted to be around 0; colour differences are so already.
    planes = np.einsum("dc,ncij->ndij", BT601, levels) if coloured else levels
    shift = np.array([128.0, 0.0, 0.0])[:, None, None] if coloured else 128.0
    steps = _tables(quality, coloured=coloured)
    pad = [(0, 0), (0, 0), (0, -height % SIZE), (0, -width % SIZE)]
    planes = np.pad(np.round(planes) - shift, pad, mode="edge")
    blocks = tiles(planes, SIZE)
    flat = blocks.reshape(*blocks.shape[:-2], SIZE * SIZE)
    coefficients = flat @ _cosines().T
    rounded = np.round(coefficients / steps) * steps
    back = np.round(rounded @ _cosines()).reshape(blocks.shape)
    planes = untile(back, *planes.shape[-2:])[..., :height, :width] + shift
    if coloured:
        planes = np.einsum("dc,ncij->ndij", np.linalg.inv(BT601), planes)
    unit = np.clip(np.round(planes), 0, 255) / 255
    return np.asarray(unit * np.subtract(high, low) + low, np.float32)


@lru_cache
def _cosines() -> NDArray[np.float64]:
    """Return the orthonormal cosine transform of a block, (64 coefficients, 64 pixels)."""
    k, i = np.arange(SIZE)[:, None], np.arange(SIZE)
    one = np.cos((2 * i + 1) * k * np.pi / (2 * SIZE)) * np.sqrt(2 / SIZE)
    one[0] /= np.sqrt(2)
    return np.kron(one, one)


@lru_cache
def _tables(quality: int, *, coloured: bool) -> NDArray[np.float64]:
    """Return the steps, (64,), or (3, 1, 64) of brightness and the two colour differences."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    luma, chroma = (
        np.clip((table.reshape(-1) * scale + 50) // 100, 1, 255).astype(np.float64)
        for table in (LUMA, CHROMA)
    )
    return np.stack([luma, chroma, chroma])[:, None] if coloured else luma

"""A word on a picture, as large as a share of its pixels allows."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LARGEST, SMALLEST = 64, 4
"""Sizes of the letters, in pixels."""

INKS = {
    "black on white": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "white on black": ((1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
    "red": ((1.0, 0.0, 0.0), None),
}
"""Colours of letters and of the ground, None for the picture itself."""


def stamped(
    picture: NDArray[Any], word: str, area: float, ink: str, rng: Rng
) -> NDArray[np.float32]:
    """Return a picture (channels, h, w) from 0 to 1 with a word on it.

    Args:
        picture: to be written on.
        word: in the largest letters that fit.
        area: share of the pixels that may change; without room for any letter nothing does.
        ink: one of ``INKS``.
        rng: draws the place.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    out = np.array(picture, np.float32)
    _, height, width = out.shape
    letters, ground = INKS[ink]
    for size in range(LARGEST, SMALLEST - 1, -1):
        mask = _written(word, size)
        h, w = mask.shape
        if h <= height and w <= width and h * w <= area * height * width:
            break
    else:
        return out
    top, left = rng.integers(0, height - h + 1), rng.integers(0, width - w + 1)
    for channel, plane in enumerate(out):
        at = plane[top : top + h, left : left + w]
        paper = at if ground is None else ground[channel % 3]
        at[:] = mask * letters[channel % 3] + (1 - mask) * paper
    return out


@cache
def _written(word: str, size: int) -> NDArray[np.float32]:
    """Return how much ink (h, w) each pixel of a word has, from 0 to 1."""
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise MissingExtra("pillow", "vision") from error
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(word)
    paper = Image.new("L", (max(1, round(right - left)), max(1, round(bottom - top))), 0)
    ImageDraw.Draw(paper).text((-left, -top), word, font=font, fill=255)
    return np.asarray(np.asarray(paper) / 255, np.float32)

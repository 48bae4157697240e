"""One word as a picture of its own, or across a picture, in fonts that matplotlib brings along.

Fonts are split by family: what is trained on some families is measured on others.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError
from hartley.data.installed_files import installed_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

TRAINED = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic"),
    *("DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique"),
    *("STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta"),
)
"""Faces of DejaVu and STIX: what a model that reads is trained on."""

BUILT_IN = "Aileron"
"""The font within Pillow."""

UNSEEN = (BUILT_IN, "cmr10", "cmss10", "cmtt10", "cmb10", "cmti10")
"""Aileron, and faces of Computer Modern: what such a model is measured on."""

FOLDER = "matplotlib.mpl-data.fonts.ttf"

LARGEST = 3 / 8
"""Size of letters, as a share of the picture's side, at most: short words do not fill its width."""

LEAST, MARGIN = 6, 2
"""Size of letters, at least, and pixels of a band above and below its word."""


def draw_word(word: str, font: str, side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a picture (side, side, 3) of one word, as wide as three quarters of it or more.

    Width, place and colours are drawn: dark on light, or in three of ten pictures light on dark.

    Args:
        word: what is written.
        font: one of ``TRAINED`` or ``UNSEEN``.
        side: pixels.
        rng: draws width, place and colours.

    Raises:
        MissingExtra: Pillow or matplotlib is not installed.
        UsageError: the word is empty.
    """
    paper, ink = rng.integers(170, 256, 3), rng.integers(0, 90, 3)
    if rng.random() < 0.3:
        paper, ink = ink, paper
    picture = np.broadcast_to(paper, (side, side, 3)).astype(np.uint8)
    return _written(
        picture, word, font, width=rng.uniform(0.75, 0.97), ink=ink, place=rng.random(2)
    )


def draw_across(
    picture: NDArray[np.uint8],
    word: str,
    font: str,
    height: float = 0.5,
    area: float = 1.0,
) -> NDArray[np.uint8]:
    """Return a picture (side, side, 3) with a word in dark ink on a light band across it.

    Args:
        picture: what is under it.
        word: what is written.
        font: one of ``TRAINED`` or ``UNSEEN``.
        height: of the band: 0 is at the top, 1 at the bottom.
        area: share of the picture that the band may cover; letters are smaller where it must.

    Raises:
        MissingExtra: Pillow or matplotlib is not installed.
        UsageError: the word is empty.
    """
    ink, paper = np.array([20, 20, 20]), np.array([245, 245, 245])
    place = np.array([0.5, height])
    return _written(picture, word, font, width=0.95, ink=ink, place=place, band=paper, area=area)


def _written(
    picture: NDArray[np.uint8],
    word: str,
    font: str,
    *,
    width: float,
    ink: NDArray[Any],
    place: NDArray[Any],
    band: NDArray[Any] | None = None,
    area: float = 1.0,
) -> NDArray[np.uint8]:
    """Write a word so wide, at a place from (0, 0) to (1, 1) of the room that there is."""
    if not word.strip():
        raise UsageError("a word to draw must have letters, got none")
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise MissingExtra("PIL", "vision") from error
    side = len(picture)
    left, _, right, _ = _face(font, side).getbbox(word)
    size = min(int(side * width * side / max(right - left, 1)), int(LARGEST * side))
    out = Image.fromarray(picture)
    pen = ImageDraw.Draw(out)
    if band is None:
        face = _face(font, max(size, LEAST))
        left, top, right, bottom = face.getbbox(word)
        middle = side / 2 + (place[1] - 0.5) * side / 4
        edge = middle - (bottom - top) / 2
    else:
        rows = int(area * side)
        while size > LEAST and _height(font, size, word) + 2 * MARGIN > rows:
            size -= 1
        face = _face(font, max(size, LEAST))
        left, top, right, bottom = face.getbbox(word)
        thick = min(bottom - top + 2 * MARGIN, rows)
        first = int(place[1] * (side - thick))
        if thick:
            pen.rectangle((0, first, side - 1, first + thick - 1), fill=_colour(band))
        edge = first + MARGIN
    corner = (place[0] * max(side - (right - left), 0) - left, edge - top)
    pen.text(corner, word, font=face, fill=_colour(ink))
    drawn = np.array(out)
    if band is not None:  # letters that do not fit are cut off with the band
        inside = np.zeros(side, dtype=bool)
        inside[first : first + thick] = True
        drawn[~inside] = picture[~inside]
    return drawn


def _height(font: str, size: int, word: str) -> int:
    _, top, _, bottom = _face(font, size).getbbox(word)
    return int(np.ceil(bottom - top))


def drawn_words(
    words: Sequence[str], fonts: Sequence[str], side: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Return pictures (n, side, side, 3) of n words, each in the font beside it."""
    pairs = zip(words, fonts, strict=True)
    return np.stack([draw_word(word, font, side, rng) for word, font in pairs])


def _colour(rgb: NDArray[Any]) -> tuple[int, ...]:
    return tuple(int(part) for part in rgb)


@cache
def _face(font: str, size: int) -> Any:
    try:
        from PIL import ImageFont
    except ImportError as error:
        raise MissingExtra("PIL", "vision") from error
    if font == BUILT_IN:
        return ImageFont.load_default(size)
    return ImageFont.truetype(str(installed_file(FOLDER, f"{font}.ttf", "report")), size)

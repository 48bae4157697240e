"""Text as a picture: drawn with Pillow's built-in font, worn down, and cut into lines of ink."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SIDE, MARGIN = 512, 6
"""Pixels of a picture's longer side, at most, and around its text."""

INK = 0.35
"""A row of pixels belongs to a line where its dark places have this share of the darkest's ink."""

LEAST = 5
"""Rows of pixels of a line, at least: less is a speck."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """How a text is drawn, black on white.

    Attributes:
        size: of the letters, in pixels.
        letters: pixels between letters, beside the font's own.
        words: pixels between words, beside the font's own.
    """

    size: int = 16
    letters: int = 0
    words: int = 0


@dataclass(frozen=True, slots=True)
class PictureWear:
    """What a picture goes through before it is read.

    Attributes:
        blur: standard deviation of a Gaussian blur, in pixels.
        noise: standard deviation of noise, of 255.
        quality: of the JPEG that it is stored as, 1 to 95; 0 stores it as it is.
    """

    blur: float = 0.0
    noise: float = 0.0
    quality: int = 0


def draw(text: str, drawing: Drawing) -> NDArray[np.uint8]:
    """Return a picture (height, width) of a text, wrapped at ``SIDE`` pixels.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    font = _font(drawing.size)
    rows = [*_wrapped(text, drawing)] or [[""]]
    step = drawing.size + drawing.size // 2
    widths = [sum(_advance(word, drawing) for word in row) for row in rows]
    width = min(SIDE, int(max(widths)) + 2 * MARGIN)
    picture = _image().new("L", (width, len(rows) * step + 2 * MARGIN), 255)
    pen = _draw().Draw(picture)
    for k, row in enumerate(rows):
        x = float(MARGIN)
        for word in row:
            for letter in _pieces(word, drawing):
                pen.text((x, MARGIN + k * step), letter, font=font, fill=0)
                x += font.getlength(letter) + drawing.letters
            x += font.getlength(" ") + drawing.words
    return np.asarray(picture)


def worn(picture: NDArray[Any], wear: PictureWear, seed: int) -> NDArray[np.uint8]:
    """Return a picture (height, width) as it is after blur, noise and JPEG; shrunk to ``SIDE``.

    Args:
        picture: grey, 0 to 255.
        wear: what it goes through.
        seed: of the noise.
    """
    from scipy.ndimage import gaussian_filter

    grey = np.asarray(picture, dtype=np.float32)
    longest = max(grey.shape)
    if longest > SIDE:
        size = [max(1, round(edge * SIDE / longest)) for edge in grey.shape]
        small = _image().fromarray(grey.astype(np.uint8)).resize((size[1], size[0]))
        grey = np.asarray(small, dtype=np.float32)
    if wear.blur:
        grey = gaussian_filter(grey, wear.blur, mode="nearest")
    if wear.noise:
        noise = np.random.default_rng(seed).standard_normal(grey.shape, dtype=np.float32)
        grey = grey + np.float32(wear.noise) * noise
    out = np.clip(np.round(grey), 0, 255).astype(np.uint8)
    if not wear.quality:
        return out
    stored = io.BytesIO()
    _image().fromarray(out).save(stored, "JPEG", quality=wear.quality)
    return np.asarray(_image().open(io.BytesIO(stored.getvalue())).convert("L"))


def lines(picture: NDArray[Any]) -> list[NDArray[np.uint8]]:
    """Return the lines of a picture (height, width), from top to bottom, each cut to its ink.

    A line is a run of rows that have dark places; what is between is paper.
    """
    from scipy.ndimage import uniform_filter

    grey = np.asarray(picture, dtype=np.float32)
    if not grey.size:
        return []
    dark = uniform_filter(np.median(grey) - grey, 3)
    darkest = np.percentile(dark, 99, axis=1)
    limit = INK * float(darkest.max(initial=0.0))
    if limit <= 0:
        return []
    out = []
    for first, last in _runs(darkest > limit):
        if last - first < LEAST:
            continue
        top, bottom = max(first - 3, 0), min(last + 3, len(grey))
        columns = np.flatnonzero(dark[first:last].max(0) > limit)
        left, right = max(int(columns[0]) - 4, 0), min(int(columns[-1]) + 5, grey.shape[1])
        out.append(np.asarray(picture[top:bottom, left:right], dtype=np.uint8))
    return out


def png(picture: NDArray[Any]) -> bytes:
    """Return a picture (height, width) as a PNG file."""
    stored = io.BytesIO()
    _image().fromarray(np.asarray(picture, dtype=np.uint8)).save(stored, "PNG")
    return stored.getvalue()


def from_file(content: bytes) -> NDArray[np.uint8]:
    """Return the grey picture (height, width) of a file.

    Raises:
        UsageError: it is not a picture, or one of more pixels than anybody hands in.
        MissingExtra: Pillow is not installed.
    """
    image = _image()
    try:
        picture = image.open(io.BytesIO(content))
        if picture.width * picture.height > 4096**2:
            raise UsageError(
                f"a picture must have at most 4096×4096 pixels, got {picture.width}×"
                f"{picture.height}"
            )
        return np.asarray(picture.convert("L"))
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        raise UsageError(f"a picture must be a file that Pillow reads, got {error}") from None


def _wrapped(text: str, drawing: Drawing) -> Iterator[list[str]]:
    """Yield the words of each line; a word that is wider than a line is cut."""
    room = SIDE - 2 * MARGIN
    for paragraph in text.split("\n"):
        row: list[str] = []
        used = 0.0
        for word in paragraph.split():
            for part in _fitting(word, drawing, room):
                width = _advance(part, drawing)
                if row and used + width > room:
                    yield row
                    row, used = [], 0.0
                row.append(part)
                used += width
        if row:
            yield row


def _fitting(word: str, drawing: Drawing, room: float) -> Iterator[str]:
    while len(word) > 1 and _advance(word, drawing) > room:
        cut = len(word) - 1
        while cut > 1 and _advance(word[:cut], drawing) > room:
            cut -= 1
        yield word[:cut]
        word = word[cut:]
    yield word


def _pieces(word: str, drawing: Drawing) -> Iterator[str]:
    """What is drawn at once: a word as the font sets it, or each letter on its own."""
    yield from word if drawing.letters else [word]


def _advance(word: str, drawing: Drawing) -> float:
    font = _font(drawing.size)
    width = sum(font.getlength(p) + drawing.letters for p in _pieces(word, drawing))
    return float(width + font.getlength(" ") + drawing.words)


def _runs(marked: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the runs (first, behind the last) of true places; gaps of one row are closed."""
    closed = marked.copy()
    closed[1:-1] |= marked[:-2] & marked[2:]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], closed.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


@cache
def _font(size: int) -> Any:
    try:
        from PIL import ImageFont
    except ImportError as error:
        raise MissingExtra("PIL", "vision") from error
    return ImageFont.load_default(size)


def _image() -> Any:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("PIL", "vision") from error
    return Image


def _draw() -> Any:
    from PIL import ImageDraw

    return ImageDraw

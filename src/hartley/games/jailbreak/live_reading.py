"""The live and dead scenes of reading: a recogniser of printed letters, and one that guesses.

The live recogniser is a real one, if a small one: it cuts a line into runs of inked columns and
takes each for the letter of the font that its pixels are nearest to. Letters that touch are read
wrongly, so that how a text is drawn matters. The victim behind it is that of the live jailbreak.
"""

from __future__ import annotations

import string
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Scene
from hartley.games.jailbreak import live_jailbreak
from hartley.games.withheld_secrets import Withheld
from hartley.kit.media import drawn_text
from hartley.kit.media.drawn_text import Drawing
from hartley.kit.media.text_by_medium import PICTURE, Wear
from hartley.models.media import Media, Recognition

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LETTERS = string.ascii_letters + string.digits + ".,?!'"
SIZE, GRID = 24, (16, 12)
"""Pixels of the letters that are known, and the grid that a letter is compared on."""

SPACE = 0.48
"""A gap between letters is a space from this share of the line's height on."""


def scene(rng: Rng, *, reads: bool) -> Scene:
    """Return a scene whose victim reads pictures, or says a question whatever the picture shows."""
    inner = live_jailbreak.scene(rng, says=True)
    assert inner.model is not None
    part = inner.part(Withheld)
    key = f"letters {reads}"

    def guessing(grey: NDArray[Any]) -> str:
        return part.questions[zlib.crc32(np.ascontiguousarray(grey).tobytes()) % len(part)]

    media = Media(Recognition({PICTURE: printed if reads else guessing}, Wear(), key))
    model = media.reads(inner.model, part.template, part.context)
    placed = inner.with_part(media)
    return Scene(
        name="live" if reads else "dead",
        modality=placed.modality,
        model=model,
        parts=placed.parts,
    )


def printed(grey: NDArray[Any]) -> str:
    """Return the text of a grey picture (height, width), letter by letter."""
    return " ".join(text for line in drawn_text.lines(grey) if (text := _line(line)))


def _line(line: NDArray[Any]) -> str:
    inked = (255 - line.astype(np.float64)) > 64
    columns = np.flatnonzero(inked.any(0))
    if not len(columns):
        return ""
    cuts = np.flatnonzero(np.diff(columns) > 1)
    starts = [int(columns[0]), *(int(k) for k in columns[cuts + 1])]
    ends = [*(int(k) for k in columns[cuts]), int(columns[-1])]
    rows = np.flatnonzero(inked.any(1))
    top, height = int(rows[0]), int(rows[-1] - rows[0]) + 1
    names, shapes = _known()
    text, last = "", starts[0]
    for first, end in zip(starts, ends, strict=True):
        if text and first - last > SPACE * height:
            text += " "
        shape = _shape(line[:, first : end + 1], top, height)
        text += names[int(((shapes - shape) ** 2).sum(1).argmin())]
        last = end
    return text


def _shape(piece: NDArray[Any], top: int, height: int) -> NDArray[np.float64]:
    """Return a letter as numbers: its pixels on a grid, its place in the line, and its width."""
    dark = (255 - piece.astype(np.float64)) / 255
    rows = np.flatnonzero((dark > 0.25).any(1))
    cut = dark[rows[0] : rows[-1] + 1] if len(rows) else dark
    ys = np.linspace(0, len(cut) - 1, GRID[0]).round().astype(int)
    xs = np.linspace(0, cut.shape[1] - 1, GRID[1]).round().astype(int)
    first, size = (int(rows[0]) - top, len(cut)) if len(rows) else (0, 0)
    place = np.array([first / height, size / height, piece.shape[1] / height])
    return np.concatenate([cut[np.ix_(ys, xs)].reshape(-1), 6 * place])


@cache
def _known() -> tuple[list[str], NDArray[np.float64]]:
    """Return the letters of the font and their shapes, in a line as high as all of them."""
    shapes = []
    for letter in LETTERS:
        (line,) = drawn_text.lines(drawn_text.draw(f"Ap {letter}", Drawing(SIZE, 4, 12)))
        inked = (255 - line.astype(np.float64)) > 64
        rows, columns = np.flatnonzero(inked.any(1)), np.flatnonzero(inked.any(0))
        cuts = np.flatnonzero(np.diff(columns) > 1)
        first = int(columns[cuts[1] + 1])
        piece = line[:, first : int(columns[-1]) + 1]
        shapes.append(_shape(piece, int(rows[0]), int(rows[-1] - rows[0]) + 1))
    return [*LETTERS], np.stack(shapes)

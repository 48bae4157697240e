"""Pages: pictures that carry a text, below an illustration if they have one.

Anyone who sees a page can read its text and draw it anew, so that how pages are drawn and read is
known to the owner and to the attacker.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

REMEMBERED = 4096
"""Pictures whose texts are remembered, at most."""

NEAR = 0.05
"""By how much blank paper differs from the paper's own value at most; ink is further off."""

SLACK = 1.05
"""Ink of a page by that of its text, at most: a letter that is read otherwise does not count."""


@dataclass(frozen=True, slots=True, eq=False)
class Pages:
    """How pages (3, height, width) in 0..1 are laid out, drawn and read.

    Attributes:
        height: of a page, in pixels.
        width: of a page, in pixels.
        draw: text → grey picture (rows, width) in 0..1 of the part that carries text, with
            ``height − top`` rows; what has no room is left out.
        read: such a picture, uint8 → its text.
        top: rows of the illustration at the top; 0: there is none.
        paper: grey value of blank paper.
    """

    height: int
    width: int
    draw: Callable[[str], NDArray[Any]]
    read: Callable[[NDArray[Any]], str]
    top: int = 0
    paper: float = 1.0

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of a page."""
        return (3, self.height, self.width)

    def text(self, page: NDArray[Any]) -> str:
        """Return the text that is read in a page (3, height, width)."""
        grey = np.asarray(page, np.float32)[:, self.top :].mean(0)
        pixels = np.round(255 * np.clip(grey, 0, 1)).astype(np.uint8)
        return self.read(pixels)

    def written(self, page: NDArray[Any], text: str) -> NDArray[np.float32]:
        """Return a page with its text part drawn anew, and its illustration as it was."""
        out = np.array(page, dtype=np.float32)
        out[:, self.top :] = self.draw(text)
        return out

    def blank(self) -> NDArray[np.float32]:
        """Return a page (3, height, width) of paper alone."""
        return np.full(self.shape, self.paper, np.float32)

    def clear(self, page: NDArray[Any]) -> NDArray[np.bool_]:
        """Return where the text part (height − top, width) of a page is paper, not near ink."""
        return self._light(np.asarray(page, np.float64)[:, self.top :].mean(0))

    def ink(self, text: str) -> int:
        """Return how many pixels of the text part are not ``clear`` where a text is drawn."""
        return int((~self._light(np.asarray(self.draw(text), np.float64))).sum())

    def _light(self, grey: NDArray[np.float64]) -> NDArray[np.bool_]:
        from scipy.ndimage import minimum_filter

        return np.asarray(minimum_filter(grey, 3, mode="nearest") > self.paper - NEAR)


def psnr(pages: Pages, candidate: NDArray[Any], published: NDArray[Any]) -> float:
    """Return how near a page is to the published one in dB, however its text is set.

    The text part counts by its blank paper, against the value of paper, or by all of its pixels
    against the published page where that is nearer; the illustration counts pixel by pixel. The
    smaller of the two is returned. Only as much of a page is ink as the text that is read in it
    needs; where more is dark, the rest counts as paper, at the mean of what is dark.
    """
    top = pages.top
    part = np.asarray(candidate, np.float64)[:, top:]
    alike = image.psnr(part, np.asarray(published)[:, top:])
    off = ((part - pages.paper) ** 2).mean(0)
    clear = pages.clear(candidate)
    dark = int((~clear).sum())
    beyond = max(0.0, dark - SLACK * pages.ink(pages.text(candidate))) if dark else 0.0
    error = float(off[clear].sum()) + (beyond * float(off[~clear].mean()) if beyond else 0.0)
    weight = clear.size - dark + beyond
    floor = 10 ** (-image.PEAK_LIMIT / 10)
    clean = -10 * float(np.log10(max(error / weight, floor))) if weight else 0.0
    text = max(alike, clean)
    return min(text, image.psnr(candidate[:, :top], published[:, :top])) if top else text


def remembered(read: Callable[[NDArray[Any]], str]) -> Callable[[NDArray[Any]], str]:
    """Return a reader of pictures (rows, width), uint8, that reads none twice."""

    @lru_cache(maxsize=REMEMBERED)
    def of(pixels: bytes, rows: int) -> str:
        return read(np.frombuffer(pixels, np.uint8).reshape(rows, -1))

    return lambda grey: of(grey.tobytes(), len(grey))


LETTERS = " abcdefghijklmnopqrstuvwxyz"
CELL = 8
"""Pixels of a letter's side in ``block_letters``."""

INK = 0.1
"""By how much the ink of ``block_letters`` is darker than paper."""


def block_letters(rows: int = 8, columns: int = 12, paper: float = 0.9) -> Pages:
    """Return small pages in a script of random blocks, which needs neither font nor recogniser.

    Args:
        rows: of letters.
        columns: of letters.
        paper: grey value of blank paper.
    """
    rng = np.random.default_rng(len(LETTERS))
    shapes = (rng.random((len(LETTERS), CELL - 2, CELL - 2)) < 0.4).astype(np.float64)
    shapes[0] = 0
    glyphs = np.pad(shapes, ((0, 0), (1, 1), (1, 1)))

    def draw(text: str) -> NDArray[Any]:
        numbers = [max(0, LETTERS.find(letter)) for letter in text.lower()][: rows * columns]
        numbers += [0] * (rows * columns - len(numbers))
        cells = glyphs[numbers].reshape(rows, columns, CELL, CELL)
        ink = cells.transpose(0, 2, 1, 3).reshape(rows * CELL, columns * CELL)
        return np.asarray(paper - INK * ink, np.float32)

    def read(grey: NDArray[Any]) -> str:
        ink = (paper - grey / 255.0) / INK
        cells = ink.reshape(rows, CELL, columns, CELL).transpose(0, 2, 1, 3)
        gaps = ((cells.reshape(-1, 1, CELL, CELL) - glyphs) ** 2).sum((2, 3))
        return " ".join("".join(LETTERS[k] for k in gaps.argmin(1)).split())

    return Pages(rows * CELL, columns * CELL, draw, read, paper=paper)

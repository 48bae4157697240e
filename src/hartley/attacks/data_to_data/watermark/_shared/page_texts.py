"""What attacks on pages share: a page drawn anew, and the floor of the words in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hartley.attacks.data_to_data.watermark._shared.strongest import strongest
from hartley.core import Data, Modality, Outcome
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.games.watermark.forgery import ForgeryBrief
    from hartley.games.watermark.watermark import WatermarkBrief
    from hartley.kit.media.pages import Pages


@dataclass(frozen=True, slots=True)
class Page:
    """A page whose text is drawn anew, as a rewording sees it.

    Attributes:
        brief: of the attacker.
        pages: how pages are drawn and read.
        page: (3, height, width), whose illustration stays.
    """

    brief: WatermarkBrief
    pages: Pages
    page: NDArray[Any]

    @property
    def floor(self) -> Mapping[str, float]:
        """Least values; empty where there are none."""
        return self.brief.floor

    def holds(self, text: str) -> bool:
        """Whether the page with a text is above all of them."""
        return self.brief.holds(self.pages.written(self.page, text))


def redrawn(brief: WatermarkBrief, page: NDArray[Any], steps: int) -> Page | None:
    """Return a page with its text read and drawn anew, its illustration through JPEG.

    Args:
        brief: of the attacker.
        page: (3, height, width).
        steps: bisections of the quality of JPEG, down to what the floor allows.

    Returns:
        None where items are not pages.
    """
    pages = brief.pages
    if pages is None:
        return None
    clean = pages.written(page, pages.text(page))
    top = pages.top
    if not top:
        return Page(brief, pages, clean)

    def worn(level: float) -> NDArray[Any]:
        out = clean.copy()
        out[:, :top] = image.jpeg(page[:, :top], round(100 - 99 * level))
        return out

    return Page(brief, pages, strongest(worn, brief.holds, clean, steps))


def as_loot(page: NDArray[Any], role: str = "cleaned page") -> Outcome:
    """Return a page as what an attack hands in."""
    return Outcome(asset=Data("page", Modality.PAIRED, image.eight_bits(page)[None], role=role))


def texts(pages: Pages, brief: WatermarkBrief | ForgeryBrief) -> Data:
    """Return the texts of the attacker's own pages."""
    import numpy as np

    read = np.array([pages.text(page) for page in brief.public.x], dtype=np.str_)
    return Data("texts of own pages", Modality.LANGUAGE, read)

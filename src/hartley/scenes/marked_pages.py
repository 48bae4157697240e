"""Marked pages: prose that a small language model writes, drawn as pages, marked in either way."""

from __future__ import annotations

import re
from functools import cache
from itertools import cycle
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

import hartley
from hartley.core import Data, Modality, Range, Scene, Stronger, recipe
from hartley.data.photos import carriers
from hartley.kit import item_quality
from hartley.kit.cache import digest
from hartley.kit.marker import DetectionService, KeyUse, Marker
from hartley.kit.media import drawn_text
from hartley.kit.media.page_mark import page_mark
from hartley.kit.media.pages import Pages, remembered
from hartley.kit.vision import marks
from hartley.kit.vision.synchronised_mark import synchronised
from hartley.models.line_reader import line_reader
from hartley.scenes.prose import prose

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

WIDTH = drawn_text.SIDE
PHOTO = 256
"""Side of a photograph; two side by side are an illustration."""

CROPS = 48
"""Crops of photographs on pages: those of every third photograph are the attacker's."""

DRAWING = drawn_text.Drawing(size=16, words=4)
"""Words are set wide: the recogniser drops narrow spaces."""

PICTURE_MARKS: dict[str, Callable[[], Marker]] = {
    "synchronised": synchronised,
    "spread_spectrum": marks.spread_spectrum,
    "qim": marks.diverse,
}


@recipe(modality=Modality.PAIRED, packs=("pp-ocr",), extras=("language", "vision"))
def marked_pages(
    *,
    mark: Literal["both", "picture", "text"] = "both",
    picture_mark: Literal["qim", "spread_spectrum", "synchronised"] = "qim",
    illustrated: bool = False,
    items: Annotated[int, Range(3, 512)] = 24,
    tokens: Annotated[int, Range(16, 96)] = 64,
    owners: Annotated[int, Range(0, 1000)] = 0,
    epochs: Annotated[int, Range(0)] = 2,
    floor: Annotated[float, Range(0, 1), Stronger.LESS] = 0.8,
    psnr: Annotated[float, Range(0), Stronger.LESS] = 34.0,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Pages of some 40 words, 512 pixels wide: a text marked as it is written, on a marked picture.

    The text is that of the scene ``prose`` under KGW. Pages are read by PP-OCRv4. The attacker
    holds pages of the same writer without a mark, with photographs of their own.

    Args:
        mark: where it is: in the words, in the picture that the page is, or in both; the owner then
            says marked where either is detected.
        picture_mark: the mark of the picture, as one of presence.
        illustrated: whether there are photographs above the text, with the picture's mark.
        items: pages that the owner writes, of which sixteen are taken where they are illustrated,
            each with photographs of its own; and pages that the attacker holds.
        tokens: of each text.
        owners: keys that the pages are shared out among; 0: each page has a key of its own.
        epochs: passes of the writer over the novel.
        floor: least F1 of the words that are read in a cleaned page.
        psnr: least PSNR of its blank paper and of its illustration, in dB.
        seed: of the training and of the texts.
    """
    top = 192 if illustrated else 0
    pages = _pages(top, 192 if tokens <= 64 else 256)
    writer = prose(
        tokens=tokens,
        temperature=0.8,
        owners=owners,
        epochs=epochs,
        unmarked=items,
        seed=seed,
    )
    prompts = [str(prompt) for prompt in writer.extra["carriers"].x[::8][:items]]
    owned, public = _illustrations(top) if illustrated else ([None], [None])
    photos = (owned if illustrated else owned * items)[:items]
    count = len(photos)
    marker = page_mark(
        pages,
        writer.part(Marker),
        list(zip(photos, prompts[:count], strict=True)),
        picture=None if mark == "text" else PICTURE_MARKS[picture_mark](),
        text=mark != "picture",
    )
    unmarked = writer.extra["unmarked"]
    unmarked_pages = [
        _on_page(pages, photo, str(text))
        for photo, text in zip(
            cycle(public), unmarked.x[unmarked.facts["written"] == 1], strict=False
        )
    ]
    return Scene(
        name="marked_pages",
        modality=Modality.PAIRED,
        digest=digest(
            {
                "version": hartley.__version__,
                "writer": writer.digest,
                "mark": [mark, picture_mark, illustrated, items, tokens, owners, floor, psnr],
                "photographs": [one for one in (*owned, *public) if one is not None],
            }
        ),
        model=None,
        extra={
            "carriers": Data("page numbers", Modality.PAIRED, np.arange(count), role="carriers"),
            "unmarked": Data("own pages", Modality.PAIRED, np.stack(unmarked_pages), role="public"),
        },
        parts=(
            marker,
            pages,
            item_quality.pages(pages, floor, psnr),
            KeyUse(owners=owners, by_item=True),
            DetectionService(),
        ),
        facts={
            "mark": marker.name,
            "pages": count,
            "tokens of a text": tokens,
            "illustrated": illustrated,
        },
    )


@cache
def _pages(top: int, rows: int) -> Pages:
    """How pages are drawn and read: Pillow's font, 16 pixels high, and PP-OCR."""

    def draw(text: str) -> NDArray[Any]:
        part = np.full((rows, WIDTH), 255, np.uint8)
        drawn = drawn_text.draw(text, DRAWING)[:rows]
        part[: len(drawn), : drawn.shape[1]] = drawn
        return part.astype(np.float32) / np.float32(255)

    return Pages(top + rows, WIDTH, draw, remembered(_read), top=top)


def _read(grey: NDArray[Any]) -> str:
    """Return a text, with the spaces after punctuation that the recogniser leaves out."""
    return re.sub(r"(?<=[a-z])([,;:.!?][\"”]?)(?=[A-Za-z])", r"\1 ", line_reader().read(grey))


def _on_page(pages: Pages, photo: NDArray[Any] | None, text: str) -> NDArray[np.float32]:
    page = pages.written(pages.blank(), " ".join(text.split()))
    if photo is not None:
        page[:, : pages.top] = photo
    return page


def _illustrations(rows: int) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Return the owner's and the attacker's illustrations (3, rows, WIDTH), of two crops each.

    No photograph is in both: an attacker who holds one without its mark would put it back.
    """
    photos = carriers(CROPS, PHOTO)
    public = photos.labels % 3 == 2

    def of(x: NDArray[Any]) -> list[NDArray[Any]]:
        half = len(x) // 2
        return [np.concatenate([x[k], x[k + half]], axis=2)[:, :rows] for k in range(half)]

    return of(photos.x[~public]), of(photos.x[public])

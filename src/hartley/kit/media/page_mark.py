"""Marks of pages: one in the picture that a page is, one in the text that it carries, or both."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality, spawn
from hartley.kit.marker import Detection, Marker, presence, smallest
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.media.pages import Pages

NOTHING = np.zeros(0, np.int64)


def page_mark(
    pages: Pages,
    author: Marker,
    sources: Sequence[tuple[NDArray[Any] | None, str]],
    *,
    picture: Marker | None,
    text: bool,
) -> Marker:
    """Return a mark of pages that says presence: written, drawn, and read as a picture and a text.

    A page is marked where either mark is detected, at the smaller p-value times the number of
    marks.

    Args:
        pages: how pages are drawn and read.
        author: a mark of texts that says presence, and writes them from prompts.
        sources: (illustration (3, top, width) or None, prompt) of each page; its items are their
            numbers.
        picture: a mark of pictures that is put into the drawn page; None: none is.
        text: whether the text is written with the author's mark.
    """
    pixels = None if picture is None else presence(picture)

    def embed_all(
        items: Sequence[Any], messages: Any, keys: Sequence[int | None], rng: Rng
    ) -> list[NDArray[Any]]:
        del messages
        rows = [sources[int(item)] for item in items]
        under = [None if k is None or not text else spawn(k, "text of a page") for k in keys]
        texts = written(author, [prompt for _, prompt in rows], under, rng)
        out = []
        for (illustration, _), words, key in zip(rows, texts, keys, strict=True):
            page = pages.written(pages.blank(), " ".join(words.split()))
            if illustration is not None:
                page[:, : pages.top] = illustration
            if pixels is not None and key is not None:
                page = pixels.embed(page, NOTHING, spawn(key, "picture of a page"), rng)
            out.append(image.eight_bits(page))
        return out

    def detect(page: Any, key: int) -> Detection:
        read = []
        if pixels is not None:
            read.append(pixels.verify(page, spawn(key, "picture of a page"), NOTHING))
        if text:
            read.append(author.verify(pages.text(page), spawn(key, "text of a page"), NOTHING))
        return smallest(read)

    names = [*([picture.name] if picture else []), *([author.name] if text else [])]
    return Marker(
        f"page: {' and '.join(names)}",
        lambda item, message, key, rng: embed_all([item], [message], [key], rng)[0],
        facts=(*(picture.facts if picture else ()), *(author.facts if text else ())),
        modality=Modality.PAIRED,
        bits=0,
        detect=detect,
        plain=lambda item, rng: embed_all([item], [NOTHING], [None], rng)[0],
        generates=True,
        embed_all=embed_all,
    )


def written(
    author: Marker, prompts: Sequence[str], keys: Sequence[int | None], rng: Rng
) -> list[str]:
    """Return what an author of texts writes from prompts; a key of None writes without a mark."""
    if author.embed_all is not None:
        return [
            str(words)
            for words in author.embed_all(prompts, [NOTHING] * len(prompts), list(keys), rng)
        ]
    return [
        str(author.plain(one, rng) if key is None else author.embed(one, NOTHING, key, rng))
        for one, key in zip(prompts, keys, strict=True)
    ]

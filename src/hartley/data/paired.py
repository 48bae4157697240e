"""Pictures with captions: the emoji of one vendor, with their English names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError
from hartley.data.packs import locate

if TYPE_CHECKING:
    from numpy.typing import NDArray

TAGS = 4
"""Number of tags in a caption after the name."""


@dataclass(frozen=True, slots=True)
class Captioned:
    """Pictures and captions, side by side.

    Attributes:
        pictures: uint8 (n, 64, 64, 3), on white.
        captions: n different sentences, the name and a few tags.
        kinds: (n,) category of each, numbers into ``names``.
        names: the categories.
    """

    pictures: NDArray[np.uint8]
    captions: tuple[str, ...]
    kinds: NDArray[np.int64]
    names: tuple[str, ...]


def emoji() -> Captioned:
    """1,641 emoji (no flags) as Google draws them, with the names and tags of Unicode's list.

    Raises:
        MissingPack: the pack ``emoji`` or ``emoji-captions`` was not fetched.
        MissingExtra: Pillow is not installed.
        UsageError: the packs contain no pair of picture and caption.
    """
    home = locate("emoji")
    listed = json.loads((home / "emoji.json").read_text(encoding="utf-8"))
    entries = json.loads((locate("emoji-captions") / "data.json").read_text(encoding="utf-8"))
    named = {entry["hexcode"]: entry for entry in entries}
    captioned: dict[str, tuple[str, str]] = {}
    for entry in listed:
        code = entry["unified"]
        words = named.get(code) or named.get(code.replace("-FE0F", ""))
        if words and entry["category"] != "Flags" and entry.get("has_img_google"):
            captioned.setdefault(_caption(words), (entry["image"], entry["category"]))
    if not captioned:
        raise UsageError(
            "the packs emoji and emoji-captions must contain captioned pictures, got none"
        )
    names = tuple(sorted({kind for _, kind in captioned.values()}))
    return Captioned(
        np.stack([_read(home / "img/google/64" / file) for file, _ in captioned.values()]),
        tuple(captioned),
        np.array([names.index(kind) for _, kind in captioned.values()], dtype=np.int64),
        names,
    )


def enlarged(pictures: NDArray[Any], times: int = 2) -> NDArray[np.float32]:
    """Pictures uint8 (n, h, w, 3) as an encoder reads them: float32 (n, 3, h·times, w·times)."""
    from PIL import Image

    enlarged_pictures = []
    for picture in pictures:
        size = (picture.shape[1] * times, picture.shape[0] * times)
        larger = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
        enlarged_pictures.append(np.asarray(larger, dtype=np.float32).transpose(2, 0, 1) / 255)
    return np.stack(enlarged_pictures)


def _caption(words: dict[str, Any]) -> str:
    name = str(words["label"])
    tags = [tag for tag in words.get("tags") or () if tag not in name.split()]
    return ", ".join([name, *tags[:TAGS]])


def _read(path: Any) -> NDArray[np.uint8]:
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("pillow", "vision") from error
    picture = Image.open(path).convert("RGBA")
    paper = Image.new("RGBA", picture.size, "white")
    paper.alpha_composite(picture)
    return np.asarray(paper.convert("RGB").resize((64, 64)), dtype=np.uint8)

"""Pictures with captions: the emoji of one vendor, and what they are called in English."""

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
"""Tags of a picture that its caption holds besides its name."""


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
        UsageError: the packs hold no picture that has a caption.
    """
    home = locate("emoji")
    listed = json.loads((home / "emoji.json").read_text(encoding="utf-8"))
    told = json.loads((locate("emoji-captions") / "data.json").read_text(encoding="utf-8"))
    named = {entry["hexcode"]: entry for entry in told}
    found: dict[str, tuple[str, str]] = {}
    for entry in listed:
        code = entry["unified"]
        words = named.get(code) or named.get(code.replace("-FE0F", ""))
        if words and entry["category"] != "Flags" and entry.get("has_img_google"):
            found.setdefault(_caption(words), (entry["image"], entry["category"]))
    if not found:
        raise UsageError("the packs emoji and emoji-captions hold no captioned picture")
    names = tuple(sorted({kind for _, kind in found.values()}))
    return Captioned(
        np.stack([_read(home / "img/google/64" / file) for file, _ in found.values()]),
        tuple(found),
        np.array([names.index(kind) for _, kind in found.values()], dtype=np.int64),
        names,
    )


def enlarged(pictures: NDArray[Any], times: int = 2) -> NDArray[np.float32]:
    """Pictures uint8 (n, h, w, 3) as an encoder reads them: float32 (n, 3, h·times, w·times)."""
    from PIL import Image

    made = []
    for one in pictures:
        size = (one.shape[1] * times, one.shape[0] * times)
        larger = Image.fromarray(one).resize(size, Image.Resampling.BICUBIC)
        made.append(np.asarray(larger, dtype=np.float32).transpose(2, 0, 1) / 255)
    return np.stack(made)


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

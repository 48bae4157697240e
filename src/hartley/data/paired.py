"""Pictures with captions: emoji with their English names, and stamps with a sentence each."""

from __future__ import annotations

import csv
import hashlib
import json
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError
from hartley.data.packs import locate
from hartley.data.picture_files import decoded, of_eight_bits

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
        numbered: names that differ in digits only are of unlike things.
    """

    pictures: NDArray[np.uint8]
    captions: tuple[str, ...]
    kinds: NDArray[np.int64]
    names: tuple[str, ...]
    numbered: bool = False


SIDE = 128
"""Pixels of a side of the pictures of things."""

VENDORS = (("google", "emoji"), ("twitter", "emoji-twitter"))
"""Who draws emoji, and the pack with their pictures."""


def emoji() -> Captioned:
    """1,641 emoji (no flags) as Google draws them, with the names and tags of Unicode's list.

    Raises:
        MissingPack: the pack ``emoji`` or ``emoji-captions`` was not fetched.
        MissingExtra: Pillow is not installed.
        UsageError: the packs contain no pair of picture and caption.
    """
    home = locate("emoji")
    captioned: dict[str, tuple[str, str]] = {}
    for words, entry in _listed(home, "google"):
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


def things(side: int = SIDE) -> Captioned:
    """Stamps of Tux Paint, and the emoji of two vendors: about 4,400 pictures of things.

    A caption may be that of several pictures: an emoji has one picture of each vendor. The kind of
    a picture is its source.

    Args:
        side: pixels of a side, on white.

    Raises:
        MissingPack: one of the packs ``tuxpaint-stamps``, ``stamp-captions``, ``emoji``,
            ``emoji-twitter`` and ``emoji-captions`` was not fetched.
        MissingExtra: Pillow is not installed.
    """
    pictures, captions, kinds = [], [], []
    stamps, sentences = locate("tuxpaint-stamps"), locate("stamp-captions")
    for text in sorted(sentences.rglob("*.txt")):
        picture = stamps / text.relative_to(sentences).with_suffix(".png")
        if picture.exists():
            # The first line is English; the others say the same in other languages.
            line = text.read_text(encoding="utf-8", errors="replace").splitlines()[0]
            pictures.append(read_picture(picture, side))
            captions.append(line.strip().rstrip("."))
            kinds.append(0)
    for number, (vendor, pack) in enumerate(VENDORS, 1):
        home = locate(pack)
        for words, entry in _listed(home, vendor):
            file = home / f"img/{vendor}/64" / entry["image"]
            if file.exists():
                pictures.append(read_picture(file, side))
                captions.append(_caption(words))
                kinds.append(number)
    return Captioned(
        np.stack(pictures),
        tuple(captions),
        np.array(kinds, dtype=np.int64),
        ("stamps", *(vendor for vendor, _ in VENDORS)),
    )


MOST = 20_000
"""Pictures of a user's own list, at most."""


def own(path: Path, side: int = SIDE) -> Captioned:
    """Return a user's own pictures with captions, of one kind.

    Args:
        path: a CSV file with the columns ``picture`` (a file, relative to the list) and
            ``caption``.
        side: pixels of a side, on white.

    Raises:
        UsageError: the list or a picture cannot be read, a column or a caption is missing, or a
            picture is named twice, by one file or by two with the same pixels.
        MissingExtra: Pillow is not installed.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} must be a CSV file of pictures and captions: {error}") from error
    if not rows or not {"picture", "caption"} <= set(rows[0]):
        columns = ", ".join(map(str, rows[0])) if rows else "no rows"
        raise UsageError(f"{path} must have the columns picture and caption, got {columns}")
    if len(rows) > MOST:
        raise UsageError(f"{path} must name at most {MOST} pictures, got {len(rows)}")
    files = [(row["picture"] or "").strip() for row in rows]
    captions = [(row["caption"] or "").strip() for row in rows]
    for line, (name, caption) in enumerate(zip(files, captions, strict=True), 2):
        if not name or not caption:
            raise UsageError(f"{path} must name a picture and a caption in line {line}")
        if not (path.parent / name).is_file():
            raise UsageError(f"{path} names a picture in line {line} that is not there: {name}")
    if len(set(files)) < len(files):
        twice = next(name for name in files if files.count(name) > 1)
        raise UsageError(f"{path} must name each picture once, got {twice} twice")
    pictures = np.stack([read_picture(path.parent / name, side) for name in files])
    alike = alike_pictures(pictures)
    first: dict[int, str] = {}
    for name, number in zip(files, alike.tolist(), strict=True):
        if number in first:
            raise UsageError(
                f"{path} must name each picture once, got {first[number]} and {name} of the same "
                "pixels"
            )
        first[number] = name
    return Captioned(
        pictures,
        tuple(captions),
        np.zeros(len(files), dtype=np.int64),
        (path.stem,),
        numbered=True,
    )


def alike_pictures(pictures: NDArray[Any]) -> NDArray[np.int64]:
    """Return a number for each picture (n,): equal where all pixels are."""
    hashes = [
        hashlib.sha256(np.ascontiguousarray(picture).tobytes()).digest() for picture in pictures
    ]
    numbers = {one: k for k, one in enumerate(dict.fromkeys(hashes))}
    return np.array([numbers[one] for one in hashes], dtype=np.int64)


ALIKE = frozenset(
    (
        *("man", "men", "woman", "women", "person", "people", "boy", "girl", "boys", "girls"),
        *("child", "children", "baby", "adult", "old", "older", "young"),
        *("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    )
)
"""Words of names that say sex, age or number only."""


def stem(name: str) -> str:
    """Return a name without the words that say sex, age or number, or the name if none is left."""
    return " ".join(word for word in name.split() if word not in ALIKE) or name


LETTERS = "LM"
"""Kinds of characters by Unicode: letters, and marks on them. "N" are digits and other numbers."""

ARTICLES = ("a", "an", "the", "some")
"""Words that a name may begin with, of which one is left out."""


def _plain(name: str, kinds: str) -> str:
    """Return the characters of these kinds in a name, of any script, without article."""
    known = unicodedata.normalize("NFKC", name).casefold()
    words = "".join(c for c in known if c == " " or unicodedata.category(c)[0] in kinds).split()
    return " ".join(words[1:] if words[:1] and words[0] in ARTICLES and words[1:] else words)


def alike_captions(
    captions: Sequence[str], *, numbered: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return two numbers for each caption (n,): equal where names have one stem, or tags are equal.

    A name is what comes before the first comma, and tags are between the later ones. One tag alone
    makes nothing alike. Letters of every script count, and no punctuation does.

    Args:
        captions: n of them.
        numbered: digits count too, so that "Photo 1" and "Photo 2" are names of two things; without
            it they are twins, as coins of 10 and of 50 cents are.
    """
    stems, tags = [], []
    for k, caption in enumerate(captions):
        name, *others = (part.strip() for part in str(caption).lower().split(","))
        stems.append(stem(_plain(name, LETTERS + "N" * numbered)) or f"caption {k}")
        tags.append(tuple(others) if len(others) > 1 else (k,))
    out = []
    for labels in (stems, tags):
        numbers: dict[object, int] = {one: k for k, one in enumerate(dict.fromkeys(labels))}
        out.append(np.array([numbers[one] for one in labels], dtype=np.int64))
    return out[0], out[1]


def groups_of(*alike: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the group of each picture (n,): pictures that share something, and what these share.

    Two captions of one picture are in one group, and so are all other pictures of the two.

    Args:
        alike: (n,) numbers of what pictures may share: pixels, a caption, a stem of its name.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n = len(alike[0])
    ends, count = [], n
    for numbers in alike:
        ends.append(count + numbers)
        count += int(numbers.max()) + 1
    rows = np.tile(np.arange(n), len(alike))
    edges = coo_array((np.ones(len(rows)), (rows, np.concatenate(ends))), shape=(count, count))
    of_all = connected_components(edges, directed=False)[1][:n]
    return np.unique(of_all, return_inverse=True)[1].astype(np.int64)


def read_picture(path: Path, side: int) -> NDArray[np.uint8]:
    """Return a picture file as uint8 (side, side, 3), on a white square.

    Raises:
        MissingExtra: Pillow is not installed.
        UsageError: the file cannot be read as a whole picture.
    """
    picture = decoded(path, lambda image: of_eight_bits(image).convert("RGBA"))
    from PIL import Image

    length = max(picture.size)
    paper = Image.new("RGBA", (length, length), "white")
    corner = ((length - picture.width) // 2, (length - picture.height) // 2)
    paper.alpha_composite(picture, corner)
    square = paper.convert("RGB").resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(square, dtype=np.uint8)


def _listed(home: Path, vendor: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield the emoji that a vendor draws, no flags: words of it, and its entry in the list."""
    listed = json.loads((home / "emoji.json").read_text(encoding="utf-8"))
    entries = json.loads((locate("emoji-captions") / "data.json").read_text(encoding="utf-8"))
    named = {entry["hexcode"]: entry for entry in entries}
    for entry in listed:
        code = entry["unified"]
        words = named.get(code) or named.get(code.replace("-FE0F", ""))
        if words and entry["category"] != "Flags" and entry.get(f"has_img_{vendor}"):
            yield words, entry


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

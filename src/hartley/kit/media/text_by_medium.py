"""A text handed in as a file: as which kind of file, how it is written, and how it is worn."""

from __future__ import annotations

import base64
import binascii
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Parameter, Range
from hartley.core.errors import UsageError
from hartley.kit.media import drawn_text, spoken_text
from hartley.kit.media.drawn_text import Drawing, PictureWear
from hartley.kit.media.spoken_text import Speaking, SpeechWear

if TYPE_CHECKING:
    from numpy.typing import NDArray

PICTURE, SPEECH = "picture", "speech"
MEDIA = (PICTURE, SPEECH)

FILE = "file"
"""The key of a message that holds a file beside its text, as a data URI (RFC 2397)."""

_TYPES = {PICTURE: "image/png", SPEECH: "audio/flac"}

Way = Drawing | Speaking

VALUES: Mapping[type[Way], tuple[Parameter, ...]] = {
    Drawing: (
        Parameter("size", 16, int, "of the letters, in pixels", Range(6, 128)),
        Parameter("letters", 0, int, "pixels between letters", Range(0, 128)),
        Parameter("words", 0, int, "pixels between words", Range(0, 256)),
    ),
    Speaking: (
        Parameter("voice", "en-us", str, "of espeak-ng"),
        # Of espeak-ng, which takes others too and speaks as if they were its nearest.
        Parameter("speed", 150, int, "words a minute", Range(80, 450)),
        Parameter("gap", 0, int, "between words, in units of 10 ms", Range(0, 100)),
    ),
}
"""What a way may be that others write down: a loot comes from an attack that anybody wrote."""

_VOICE = re.compile(r"[A-Za-z0-9+-]{1,32}")

Reader = Callable[["NDArray[Any]"], str]
"""A grey picture (height, width), or a recording (samples,) → its text."""


@dataclass(frozen=True, slots=True)
class Wear:
    """What files go through before they are read.

    Attributes:
        picture: of pictures.
        speech: of recordings.
    """

    picture: PictureWear = field(default_factory=PictureWear)
    speech: SpeechWear = field(default_factory=SpeechWear)


def medium_of(way: Way) -> str:
    """Return the medium that a way writes."""
    return PICTURE if isinstance(way, Drawing) else SPEECH


def as_text(way: Way) -> str:
    """Return a way as JSON: a loot is stored with plain facts."""
    return json.dumps({"medium": medium_of(way), **asdict(way)})


def from_text(text: str) -> Way:
    """Return the way of such a text.

    Raises:
        UsageError: it is not that of a way, or a value is of another type or outside its range.
    """
    try:
        values = dict(json.loads(text))
        kind: Any = {PICTURE: Drawing, SPEECH: Speaking}[values.pop("medium")]
        way: Way = kind(**values)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"a way must have a medium of {', '.join(MEDIA)} and its values, got {error}"
        ) from None
    medium = medium_of(way)
    for value in VALUES[type(way)]:
        if mistake := value.mistake(getattr(way, value.name)):
            raise UsageError(f"a way of {medium}: {mistake}")
    if isinstance(way, Speaking) and not _VOICE.fullmatch(way.voice):
        raise UsageError(
            "a way of speech: voice must be the name of one of espeak-ng, of letters, digits, + "
            f"and -, got {way.voice[:40]!r}"
        )
    return way


@lru_cache(maxsize=1024)
def written(text: str, way: Way) -> str:
    """Return a text as a file, a data URI.

    Raises:
        MissingExtra: Pillow, or soundfile and espeakng-loader, are not installed.
    """
    if isinstance(way, Drawing):
        content = drawn_text.png(drawn_text.draw(text, way))
    else:
        content = spoken_text.flac(spoken_text.speak(text, way))
    kind = _TYPES[medium_of(way)]
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def read(uri: str, readers: Mapping[str, Reader], wear: Wear) -> str:
    """Return what is read of a file after its wear, which depends on the file alone.

    Args:
        uri: the file.
        readers: by medium.
        wear: what it goes through.

    Raises:
        UsageError: it is not a data URI of a picture or of a recording.
    """
    head, _, body = uri.partition(",")
    kind = head.removeprefix("data:").removesuffix(";base64")
    medium = next((m for m, name in _TYPES.items() if name.split("/")[0] == kind.split("/")[0]), "")
    if not head.startswith("data:") or medium not in readers:
        raise UsageError(f"a file must be a data URI of a {' or '.join(readers)}, got {uri[:40]!r}")
    try:
        content = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"a file must be written in base64, got {error}") from None
    if medium == PICTURE:
        grey = drawn_text.from_file(content)
        return readers[medium](drawn_text.worn(grey, wear.picture, zlib.crc32(content)))
    parts = [
        # A sentence is worn and read alike wherever it is said.
        readers[medium](spoken_text.worn(part, wear.speech, zlib.crc32(part.tobytes())))
        for part in spoken_text.passages(spoken_text.from_file(content))
    ]
    return " ".join(part for part in parts if part)


def distance(text: str, other: str) -> int:
    """Return how many letters must be put in, left out or changed (Levenshtein)."""
    row = np.arange(len(other) + 1)
    letters = np.array([*other])
    steps = np.arange(len(other) + 1)
    for k, letter in enumerate(text, 1):
        changed = row[:-1] + (letters != letter) if len(other) else row[:0]
        least = np.concatenate([[k], np.minimum(row[1:] + 1, changed)])
        # A letter put in costs one more than the place before: a running minimum of the rest.
        row = np.minimum.accumulate(least - steps) + steps
    return int(row[-1])


def character_error_rate(text: str, read_text: str) -> float:
    """Return the letters that are read wrongly, as a share of the text's; at most 1."""
    if not text:
        return float(bool(read_text))
    return min(1.0, distance(text, read_text) / len(text))


LETTERS = 27
"""Letters and the space: what bits a character are counted over."""


def bits_a_character(error_rate: float) -> float:
    """Return the bits of a character that is misread so often, drawn uniformly of ``LETTERS``.

    By Fano's inequality they are at least log₂ 27 − h(e) − e·log₂ 26.
    """
    e = min(max(error_rate, 0.0), 1 - 1 / LETTERS)
    spread = 0.0 if e <= 0 else -e * np.log2(e) - (1 - e) * np.log2(1 - e)
    return float(max(0.0, np.log2(LETTERS) - spread - e * np.log2(LETTERS - 1)))

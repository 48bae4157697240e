"""A user's own pictures, texts or sounds: a folder of files → items that are to be marked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality
from hartley.core.errors import MissingExtra, UsageError
from hartley.core.input_files import read_bytes
from hartley.data.picture_files import LARGEST, decoded, deep_greys
from hartley.data.user_arrays import PICTURES
from hartley.data.user_sounds import SOUNDS

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS = (".txt", ".md")
MOST_SECONDS = 600.0
LEAST_SIDE = 16
"""Pixels of the shorter side of a picture that still shows something."""
KINDS: Mapping[Modality, tuple[str, ...]] = {
    Modality.VISION: PICTURES,
    Modality.AUDIO: SOUNDS,
    Modality.LANGUAGE: TEXTS,
}


@dataclass(frozen=True, slots=True)
class UserItems:
    """The items of a folder.

    Attributes:
        modality: of them all.
        items: pictures float32 (3, h, w) in 0..1, waves float32 (samples,) in −1..1, or texts.
        files: their names, in the same order.
        rate: samples a second of waves; 0 of other items.
    """

    modality: Modality
    items: tuple[Any, ...]
    files: tuple[str, ...]
    rate: int = 0


def read_items(folder: Path, flag: str) -> UserItems:
    """Read every picture, text or sound of a folder; other files are left alone.

    Grey pictures have their plane three times, transparency is dropped, 16 bits keep their depth;
    of several channels of a sound the mean is taken. Pictures may differ in size, sounds in length.

    Raises:
        UsageError: there is none, there are several kinds, or some cannot be marked: the line names
            the first of these files, why, and how many there are.
        MissingExtra: Pillow or soundfile is not installed.
    """
    if not folder.is_dir():
        raise UsageError(f"{flag} must be a folder of pictures, texts or sounds, got {folder}")
    paths = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    by_kind = {
        kind: [path for path in paths if path.suffix.lower() in suffixes]
        for kind, suffixes in KINDS.items()
    }
    some = [kind for kind, files in by_kind.items() if files]
    if len(some) != 1:
        what = " and ".join(KINDS[kind][0] for kind in some) or "none"
        raise UsageError(f"{flag} must hold pictures, texts or sounds, of one kind, got {what}")
    kind = some[0]
    readers: Mapping[Modality, Callable[[Path], Any]] = {
        Modality.VISION: read_picture,
        Modality.LANGUAGE: read_text,
    }
    items, rates, mistakes = [], [], []
    for path in by_kind[kind]:
        try:
            if kind is Modality.AUDIO:
                wave, rate = read_sound(path)
                items.append(wave)
                rates.append(rate)
            else:
                items.append(readers[kind](path))
        except MissingExtra:
            raise
        except UsageError as error:
            mistakes.append(str(error))
    if mistakes:
        more = f" ({len(mistakes) - 1} more of {len(by_kind[kind])} files)" * (len(mistakes) > 1)
        raise UsageError(f"{flag}: {mistakes[0]}{more}")
    if len(set(rates)) > 1:
        raise UsageError(f"{flag} must hold sounds of one sample rate, got {sorted(set(rates))} Hz")
    names = tuple(path.name for path in by_kind[kind])
    return UserItems(kind, tuple(items), names, rates[0] if rates else 0)


def read_picture(path: Path) -> NDArray[np.float32]:
    """Return a picture as float32 (3, h, w) in 0..1.

    Raises:
        UsageError: it is not a picture, tiny, damaged, or one of more pixels than are decoded.
        MissingExtra: Pillow is not installed.
    """

    def pixels_of(image: Any) -> NDArray[np.float32]:
        if min(image.size) < LEAST_SIDE:
            raise UsageError(
                f"{path.name} must have sides of at least {LEAST_SIDE} pixels, got "
                f"{image.width}×{image.height}"
            )
        greys = deep_greys(image)
        if greys is not None:
            return np.ascontiguousarray(np.broadcast_to(greys, (3, *greys.shape)))
        pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1) / np.float32(255))

    return decoded(path, pixels_of)


def read_text(path: Path) -> str:
    """Return a text.

    Raises:
        UsageError: it is not UTF-8, empty, or too large.
    """
    content = read_bytes(path, "the text", UsageError, LARGEST)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path.name} must be text in UTF-8, got {error.reason} at byte {error.start}"
        ) from None
    if not text.strip():
        raise UsageError(f"{path.name} must hold a text, got none")
    return text


def read_sound(path: Path) -> tuple[NDArray[np.float32], int]:
    """Return a sound as float32 (samples,) in −1..1, and its rate in Hz.

    Raises:
        UsageError: it is not a sound, silent of samples, cut off, or too long.
        MissingExtra: soundfile is not installed.
    """
    try:
        import soundfile  # type: ignore[import-untyped]
    except (ImportError, OSError) as absent:
        raise MissingExtra("soundfile", "audio") from absent
    try:
        with soundfile.SoundFile(path) as file:
            rate, frames = int(file.samplerate), int(file.frames)
            # Before it is decoded: hours of silence are a few kilobytes.
            if frames > MOST_SECONDS * rate:
                raise UsageError(
                    f"{path.name} must be at most {MOST_SECONDS:g} seconds, got {frames / rate:.0f}"
                )
            cut = _stated(path) or frames
            wave = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError, OSError) as error:
        raise UsageError(f"{path.name} must be a whole sound, got {_short(error)}") from None
    if len(wave) < min(frames, cut) or frames < cut:
        raise UsageError(
            f"{path.name} must be a whole sound, got {len(wave)} of {max(cut, frames)} samples: it "
            "is cut off"
        )
    if not len(wave) or not np.isfinite(wave).all():
        raise UsageError(f"{path.name} must hold finite samples, got none")
    mono: NDArray[np.float32] = wave.mean(1).astype(np.float32)
    return np.clip(mono, -1.0, 1.0), rate


def _stated(path: Path) -> int:
    """Return how many samples the header of a .wav file states; 0 where it does not.

    The library reads what is there of a file that was cut off, and says nothing.
    """
    if path.suffix.lower() != ".wav":
        return 0
    with path.open("rb") as stream:
        content = stream.read(4096)
    at, form = 12, content.find(b"fmt ")
    if content[:4] != b"RIFF" or form < 0:
        return 0
    width = int.from_bytes(content[form + 20 : form + 22], "little")
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        if content[at : at + 4] == b"data":
            # Streams that were written without an end state the largest number.
            return 0 if size >= 2**31 or not width else size // width
        at += 8 + size + size % 2
    return 0


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:120] or type(error).__name__

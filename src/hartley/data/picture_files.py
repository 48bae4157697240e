"""A picture file of a user: decoded whole, or refused in one line that says which file and why."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hartley.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Picture = Any
    """Pillow's."""

T = TypeVar("T")

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""Kinds of files that are decoded, by what is in them: none that Pillow starts a program for."""

MOST_PIXELS = 4096**2
LARGEST = 2**28
"""Bytes of one file."""


def decoded(path: Path, convert: Callable[[Picture], T], name: str = "") -> T:
    """Return what ``convert`` makes of a picture file, which it may decode.

    Args:
        path: of the file.
        convert: from Pillow's picture, of which only the header is read as yet.
        name: what to call the file in errors; its name without folders if empty.

    Raises:
        UsageError: it is not a picture, cut off, damaged, or one of more bytes or pixels than are
            read.
        MissingExtra: Pillow is not installed.
    """
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as absent:
        raise MissingExtra("pillow", "vision") from absent
    name = name or path.name
    try:
        if path.stat().st_size > LARGEST:
            raise UsageError(f"{name} must have at most {LARGEST >> 20} MiB")
        with warnings.catch_warnings():
            # The line below says it; a picture of a few kilobytes can state any size.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as image:
                if image.width * image.height > MOST_PIXELS:
                    raise UsageError(
                        f"{name} must have at most {MOST_PIXELS:,} pixels, got "
                        f"{image.width}×{image.height}"
                    )
                return convert(image)
    except UsageError:
        raise
    except Image.DecompressionBombError:
        raise UsageError(f"{name} must have at most {MOST_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise UsageError(
            f"{name} must be a whole picture, got a file of another kind or without its beginning; "
            f"{', '.join(FORMATS)} are read"
        ) from None
    # A damaged file may fail in any way in the decoder of its kind.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"{name} must be a whole picture, got {reason}") from None


def deep_greys(image: Picture) -> NDArray[np.float32] | None:
    """Return the pixels (h, w) from 0 to 1 of greys of more than 8 bits, or None of other pictures.

    White is 65,535 in files of 16 bits. Of 32 bits and of floats no file says what white is: it is
    1, 255 or 65,535, the least of these that no pixel exceeds.

    Raises:
        ValueError: a pixel is not finite, which ``decoded`` says with the name of the file.
    """
    if not image.mode.startswith(("I", "F")):
        return None
    pixels = np.asarray(image, dtype=np.float32)
    if not np.isfinite(pixels).all():
        raise ValueError("pixels that are not finite")
    most = 65535.0
    if not image.mode.startswith("I;16"):
        most = 65535.0 if pixels.max() > 255 else 255.0 if pixels.max() > 1 else 1.0
    return np.asarray(np.clip(pixels / np.float32(most), 0, 1), dtype=np.float32)


def of_eight_bits(image: Picture) -> Picture:
    """Return a picture of Pillow's with 8 bits a channel: deep greys are scaled, not cut at 255."""
    greys = deep_greys(image)
    if greys is None:
        return image
    from PIL import Image

    return Image.fromarray(np.rint(greys * 255).astype(np.uint8))

"""A picture file of a user: decoded whole, or refused in one line that says which file and why."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from hartley.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    Picture = Any
    """Pillow's."""

T = TypeVar("T")

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
            with Image.open(path) as image:
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
            f"{name} must be a whole picture, got a file of another kind or without its beginning"
        ) from None
    # A damaged file may fail in any way in the decoder of its kind.
    except Exception as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise UsageError(f"{name} must be a whole picture, got {reason}") from None

"""Pictures as arrays (3, h, w) in 0..1: colour, quality, JPEG, resizing and 8 × 8 patches."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BT601 = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
"""RGB → luma, blue difference, red difference, as in JPEG (full range)."""

PEAK_LIMIT = 100.0
"""Identical pictures have an infinite PSNR; it is reported as this, so that means stay finite."""


def to_ycc(image: NDArray[Any]) -> NDArray[Any]:
    """Return luma and colour differences, float64 (3, h, w), in units of 1/255."""
    out: NDArray[Any] = np.tensordot(BT601, image * 255.0, 1)
    return out


def from_ycc(planes: NDArray[Any]) -> NDArray[Any]:
    """Return the eight-bit picture, float32 (3, h, w) in 0..1, of planes from ``to_ycc``."""
    return eight_bits(np.tensordot(np.linalg.inv(BT601), planes, 1) / 255.0)


def eight_bits(image: NDArray[Any]) -> NDArray[Any]:
    """Return the picture as a file would hold it: clipped to 0..1 and rounded to 256 levels."""
    out: NDArray[Any] = np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.float32)
    return out / np.float32(255)


def as_file(pictures: NDArray[Any]) -> NDArray[Any]:
    """Return pictures from 0 to 1 as a file of 8 bits a channel rounds them, of the same type.

    Nothing is clipped: what is outside of 0..1 stays there.
    """
    rounded = np.rint(np.asarray(pictures, np.float64) * 255) / 255
    return np.asarray(rounded.astype(np.asarray(pictures).dtype))


def psnr(image: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the peak signal-to-noise ratio in dB of two pictures of one shape, 100 at most."""
    gap = np.asarray(image, dtype=np.float64) - np.asarray(other, dtype=np.float64)
    error = float(np.mean(gap**2))
    return PEAK_LIMIT if error <= 0 else min(PEAK_LIMIT, -10.0 * float(np.log10(error)))


def ssim(image: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the structural similarity (1 = identical), as scikit-image computes it."""
    from skimage.metrics import structural_similarity

    judge: Any = structural_similarity
    return float(judge(image, other, channel_axis=0, data_range=1.0))


def at_psnr(picture: NDArray[Any], wave: NDArray[Any], least: float) -> NDArray[Any]:
    """Return the eight-bit picture plus a wave, scaled so that its PSNR is ``least`` dB, or above.

    Args:
        picture: (3, h, w) in 0..1.
        wave: (h, w) or (3, h, w), of any size but 0.
        least: dB; it is 0.05 more at most, where rounding allows that.
    """
    whole = np.broadcast_to(wave, picture.shape)
    wave = wave * (10 ** (-least / 20) / np.sqrt(np.mean(whole * whole)))
    # Rounding and clipping change the error a little: aim again.
    marked = eight_bits(picture + wave)
    for _ in range(3):
        gap = psnr(marked, picture) - least
        if 0 <= gap < 0.05:
            break
        wave = wave * 10 ** ((gap - 0.02) / 20)
        marked = eight_bits(picture + wave)
    while psnr(marked, picture) < least:
        wave = wave * 10**-0.0025
        marked = eight_bits(picture + wave)
    return marked


def jpeg(image: NDArray[Any], quality: int, *, halved: bool = True) -> NDArray[Any]:
    """Return the picture after one real trip through JPEG, float32 (3, h, w).

    Args:
        image: (3, h, w) in 0..1.
        quality: 1..100, as in libjpeg.
        halved: keep colour at half the resolution (4:2:0), as is usual, or whole (4:4:4).
    """
    from PIL import Image

    stream = io.BytesIO()
    to_pillow(image).save(stream, "jpeg", quality=quality, subsampling=2 if halved else 0)
    return from_pillow(Image.open(stream))


def shrink(image: NDArray[Any], factor: float) -> NDArray[Any]:
    """Return the picture resized to ``factor`` of its sides and back (Lanczos), (3, h, w)."""
    from PIL import Image

    _, height, width = image.shape
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    lanczos = Image.Resampling.LANCZOS
    return from_pillow(to_pillow(image).resize(small, lanczos).resize((width, height), lanczos))


def tiles(plane: NDArray[Any], size: int) -> NDArray[Any]:
    """Cut (…, h, w) into (…, blocks, size, size); h and w must be multiples of ``size``."""
    *lead, height, width = plane.shape
    cut = plane.reshape(*lead, height // size, size, width // size, size)
    return np.moveaxis(cut, -2, -3).reshape(*lead, -1, size, size)


def untile(cut: NDArray[Any], height: int, width: int) -> NDArray[Any]:
    """Undo ``tiles``."""
    *lead, _, size, _ = cut.shape
    grid = cut.reshape(*lead, height // size, width // size, size, size)
    return np.moveaxis(grid, -3, -2).reshape(*lead, height, width)


def to_pillow(image: NDArray[Any]) -> Any:
    """Return a picture (3, h, w) in 0..1 as Pillow's."""
    from PIL import Image

    pixels = np.round(np.clip(image, 0.0, 1.0) * 255.0).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def from_pillow(picture: Any) -> NDArray[Any]:
    """Return Pillow's picture as float32 (3, h, w) in 0..1."""
    pixels = np.asarray(picture.convert("RGB"), dtype=np.float32)
    out: NDArray[Any] = np.ascontiguousarray(pixels.transpose(2, 0, 1)) / np.float32(255)
    return out

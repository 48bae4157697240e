"""What happens to pictures on their way: WebP, noise, blur, resizing, cropping, turns, colour.

Pictures are (3, h, w) in 0..1 and keep their shape; each change rounds to 8 bits, as a file does.
``image.jpeg`` is the JPEG beside these. Resizing is bilinear without a filter, as OpenCV's default.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def webp(picture: NDArray[Any], quality: int) -> NDArray[Any]:
    """Return the picture after one real trip through lossy WebP.

    Args:
        picture: (3, h, w) in 0..1.
        quality: 0..100, as in libwebp.
    """
    from PIL import Image

    stream = io.BytesIO()
    image.to_pillow(picture).save(stream, "webp", quality=quality)
    return image.from_pillow(Image.open(stream))


def blurred(picture: NDArray[Any], sigma: float, taps: int = 0) -> NDArray[Any]:
    """Return the picture after a Gaussian blur.

    Args:
        picture: (3, h, w) in 0..1.
        sigma: standard deviation in pixels.
        taps: width of the kernel in pixels; 0: as wide as 4 deviations to each side.
    """
    from scipy.ndimage import gaussian_filter1d

    radius = taps // 2 if taps else max(1, int(4 * sigma + 0.5))
    out = gaussian_filter1d(picture, sigma, axis=1, radius=radius, mode="mirror")
    return image.eight_bits(gaussian_filter1d(out, sigma, axis=2, radius=radius, mode="mirror"))


def noisy(picture: NDArray[Any], deviation: float, rng: Rng) -> NDArray[Any]:
    """Return the picture with Gaussian noise of a deviation in units of 1/255."""
    return image.eight_bits(picture + rng.normal(0.0, deviation / 255.0, picture.shape))


def resized(picture: NDArray[Any], factor: float) -> NDArray[Any]:
    """Return the picture at ``factor`` of its sides and back."""
    _, height, width = picture.shape
    small = (max(1, round(width * factor)), max(1, round(height * factor)))
    return image.from_pillow(_bilinear(_bilinear(image.to_pillow(picture), small), (width, height)))


def cropped(picture: NDArray[Any], share: float, rng: Rng | None = None) -> NDArray[Any]:
    """Return a part of the picture, ``share`` of each side, enlarged to the whole.

    Args:
        picture: (3, h, w) in 0..1.
        share: of each side.
        rng: draws the place; None: the middle.
    """
    _, height, width = picture.shape
    h, w = max(1, int(height * share)), max(1, int(width * share))
    if rng is None:
        top, left = (height - h) // 2, (width - w) // 2
    else:
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    part = image.to_pillow(picture[:, top : top + h, left : left + w])
    return image.from_pillow(_bilinear(part, (width, height)))


def turned(picture: NDArray[Any], degrees: float) -> NDArray[Any]:
    """Return the picture turned about its middle; what comes in is its mirrored edge."""
    from PIL import Image

    _, height, width = picture.shape
    margin = int(np.ceil(max(height, width) * abs(np.sin(np.radians(degrees))) / 2)) + 1
    wide = np.pad(picture, ((0, 0), (margin, margin), (margin, margin)), mode="reflect")
    turned_wide = image.to_pillow(wide).rotate(degrees, Image.Resampling.BICUBIC)
    box = (margin, margin, margin + width, margin + height)
    return image.from_pillow(turned_wide.crop(box))


def brightened(picture: NDArray[Any], factor: float) -> NDArray[Any]:
    """Return the picture with all levels times a factor; what is above white is white."""
    return image.eight_bits(np.asarray(picture) * factor)


def coloured(picture: NDArray[Any], strength: float) -> NDArray[Any]:
    """Return the picture with less colour, less contrast and a warmer white.

    Args:
        picture: (3, h, w) in 0..1.
        strength: 0 leaves it; 1 takes half of colour and contrast, and a tenth of blue.
    """
    grey = np.tensordot(image.BT601[0], picture, 1)[None]
    pale = picture + 0.5 * strength * (grey - picture)
    flat = pale + 0.5 * strength * (pale.mean() - pale)
    return image.eight_bits(flat * (1 - strength * np.array([0.0, 0.02, 0.1])[:, None, None]))


def _bilinear(picture: Any, size: tuple[int, int]) -> Any:
    from PIL import Image

    # ``resize`` would filter before it shrinks, which OpenCV's default does not.
    scale = (picture.width / size[0], 0, 0, 0, picture.height / size[1], 0)
    return picture.transform(size, Image.Transform.AFFINE, scale, Image.Resampling.BILINEAR)

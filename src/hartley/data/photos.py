"""Real photographs for watermarks, from the wheels of scikit-learn and scikit-image: no download.

The files are read from the installed packages themselves, so nothing here can reach a network.
scikit-learn's two photographs are CC BY 2.0; scikit-image's are public domain, CC0 or given to it
(its ``data/README.txt`` lists each).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import MissingExtra, UsageError
from hartley.data.installed_files import installed_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

PHOTOS: tuple[tuple[str, str], ...] = (
    ("sklearn.datasets.images", "china.jpg"),
    ("skimage.data", "astronaut.png"),
    ("sklearn.datasets.images", "flower.jpg"),
    ("skimage.data", "coffee.png"),
    ("skimage.data", "chelsea.png"),
    ("skimage.data", "rocket.jpg"),
    ("skimage.data", "motorcycle_left.png"),
    ("skimage.data", "camera.png"),
    ("skimage.data", "ihc.png"),
    ("skimage.data", "hubble_deep_field.jpg"),
    ("skimage.data", "retina.jpg"),
    ("skimage.data", "grass.png"),
    ("skimage.data", "gravel.png"),
    ("skimage.data", "brick.png"),
    ("skimage.data", "moon.png"),
    ("skimage.data", "coins.png"),
)
"""(package, file), colour scenes first. Grey photographs get three equal channels."""

PER_PHOTO = 4
"""Most crops of one photograph, so that a large one does not outweigh the others."""


def carriers(count: int = 48, size: int = 256) -> Data:
    """Return square crops of real photographs, to carry a watermark.

    Crops never overlap and are dealt round-robin over the photographs, so that a small ``count``
    is as varied as it can be.

    Args:
        count: how many crops (48 at most for the default size).
        size: height and width in pixels.

    Returns:
        Data with x float32 (count, 3, size, size) in 0..1 and y int64 (count,), the index of the
        photograph in ``facts["photos"]``.

    Raises:
        MissingExtra: scikit-learn, scikit-image or Pillow is not installed.
        UsageError: there are fewer crops of that size.
    """
    if count < 1 or size < 8:
        raise UsageError(f"count must be 1 or more and size 8 or more, got {count} and {size}")
    cut = [_crops(_read(package, file), size) for package, file in PHOTOS]
    dealt = [
        (k, crops[turn])
        for turn in range(PER_PHOTO)
        for k, crops in enumerate(cut)
        if turn < len(crops)
    ]
    if count > len(dealt):
        raise UsageError(
            f"count must be at most {len(dealt)}, the crops of {size}² in the photographs, got "
            f"{count}"
        )
    photos = dealt[:count]
    return Data(
        "photographs",
        Modality.VISION,
        np.stack([crop for _, crop in photos]),
        np.array([k for k, _ in photos], dtype=np.int64),
        role="carriers",
        facts={"photos": tuple(file for _, file in PHOTOS)},
    )


def _read(package: str, file: str) -> NDArray[Any]:
    """One photograph as float32 (3, h, w) in 0..1."""
    try:
        from PIL import Image
    except ModuleNotFoundError as absent:
        raise MissingExtra("Pillow", "vision") from absent
    with installed_file(package, file).open("rb") as stream:
        pixels = np.asarray(Image.open(stream).convert("RGB"), dtype=np.float32)
    out: NDArray[Any] = np.ascontiguousarray(pixels.transpose(2, 0, 1)) / np.float32(255)
    return out


def _crops(photo: NDArray[Any], size: int) -> list[NDArray[Any]]:
    """The crops of a centred grid nearest to the centre, at most ``PER_PHOTO``."""
    _, height, width = photo.shape
    rows, columns = height // size, width // size
    top, left = (height - rows * size) // 2, (width - columns * size) // 2
    places = sorted(
        ((r, c) for r in range(rows) for c in range(columns)),
        key=lambda at: (abs(at[0] - (rows - 1) / 2) + abs(at[1] - (columns - 1) / 2), at),
    )
    return [
        np.ascontiguousarray(
            photo[:, top + r * size : top + (r + 1) * size, left + c * size : left + (c + 1) * size]
        )
        for r, c in places[:PER_PHOTO]
    ]

"""The two fast marks of the package invisible-watermark, by which diffusion models sign pictures.

Both quantise one number of every 4 × 4 block of the Haar low band of a colour difference, the same
bit every m blocks: ``dwtDct`` the largest sample (its code takes no DCT, in spite of its name), and
``dwtDctSvd`` the largest singular value. The quantiser is the package's own: the upper or lower
half of a cell of the lattice says the bit. Here whole planes are done at once, and a key, which the
package has not, turns bits, so that an unmarked picture reads fair ones. All else is as it is in
use: block k has bit k modulo m, which leaves a bit in few columns; the plane is cut to whole
levels, not rounded, as it is written; and horizontal and vertical details of the wavelet change
places, which costs 3 dB and some bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hartley.kit.marker import Marker
from hartley.kit.vision import image, marks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Found = tuple[NDArray[Any], NDArray[Any]]

BLOCK: Final = 4
PIXELS: Final = 2 * BLOCK
"""Pixels of a block's side: its samples are sums of 2 × 2 pixels."""
U_WEIGHT, V_WEIGHT = 0.492, 0.877
"""Of the package's differences from luma, of blue and of red, all three in whole levels."""
GREY: Final = 128.0
"""Level of the difference where there is no colour."""


def widespread_dwt_dct(step: float = 36.0) -> Marker:
    """Quantise the largest low-band sample of each block, as ``dwtDct`` does.

    Args:
        step: cell of the lattice, in units of 1/255 of the low band.
    """
    return _marker("widespread_dwt_dct", _largest, step)


def dwt_dct_svd(step: float = 36.0) -> Marker:
    """Quantise the largest singular value of each low-band block, as ``dwtDctSvd`` does.

    A DCT does not change singular values, so that none is taken.

    Args:
        step: cell of the lattice, in units of 1/255 of the low band.
    """
    return _marker("dwt_dct_svd", _singular, step)


def _marker(name: str, find: Callable[[NDArray[Any]], Found], step: float) -> Marker:
    def embed(picture: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        luma, blue, red = _yuv(picture)
        low = _low(blue)
        value, direction = find(low)
        turned = np.asarray(bits) ^ turned_bits(len(bits), key)
        target = (
            np.abs(value) // step + 0.25 + 0.5 * turned[np.arange(len(low)) % len(bits)]
        ) * step
        moved = (np.sign(value) * (target - np.abs(value)))[:, None, None] * direction
        height, width = (side // PIXELS * PIXELS for side in blue.shape)
        change = image.untile(moved, height // 2, width // 2) / 2
        cells = blue[:height, :width].reshape(height // 2, 2, width // 2, 2)
        # Exchanging the details of two directions transposes each cell of 2 × 2 pixels.
        cells = cells.swapaxes(1, 3) + change[:, None, :, None]
        blue[:height, :width] = cells.reshape(height, width)
        return _rgb(luma, np.floor(blue), red)

    def soft(picture: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        value, _ = find(_low(_yuv(picture)[1]))
        upper = np.where(np.abs(value) % step > step / 2, 1.0, -1.0)
        which = np.arange(len(value)) % m
        votes = np.bincount(which, upper, m) / np.maximum(np.bincount(which, minlength=m), 1)
        # A tie reads 1 in the package.
        turned: NDArray[Any] = (votes + 1e-9) * (1 - 2 * turned_bits(m, key))
        return turned

    def fits(item: NDArray[Any], m: int) -> bool:
        return bool(np.prod([side // PIXELS for side in np.shape(item)[1:]]) >= m)

    return Marker(
        name, embed, soft, (("step", step),), fits, plain=marks.published, key_shows=False
    )


def _yuv(picture: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return luma, and the differences of blue and red from it, in whole levels."""
    red, _, blue = np.asarray(picture, dtype=np.float64) * 255.0
    luma = np.round(np.tensordot(image.BT601[0], np.asarray(picture) * 255.0, 1))
    return luma, np.round(U_WEIGHT * (blue - luma)), np.round(V_WEIGHT * (red - luma))


def _rgb(luma: NDArray[Any], blue: NDArray[Any], red: NDArray[Any]) -> NDArray[Any]:
    """Return the eight-bit picture of luma and differences."""
    r, b = luma + red / V_WEIGHT, luma + blue / U_WEIGHT
    g = (luma - image.BT601[0, 0] * r - image.BT601[0, 2] * b) / image.BT601[0, 1]
    return image.eight_bits(np.stack([r, g, b]) / 255.0)


def _low(blue: NDArray[Any]) -> NDArray[Any]:
    """Return the blocks (n, 4, 4) of the Haar low band of a blue difference."""
    import pywt

    height, width = (side // PIXELS * PIXELS for side in blue.shape)
    # The transform's own rounding decides which of equal samples is the largest, as it does there.
    low, _ = pywt.dwt2(blue[:height, :width] + GREY, "haar")
    return image.tiles(low, BLOCK)


def _largest(low: NDArray[Any]) -> Found:
    """Return each block's largest sample but the first, and where it is."""
    flat = low.reshape(len(low), -1)
    at = np.abs(flat[:, 1:]).argmax(1) + 1
    direction = np.zeros_like(flat)
    direction[np.arange(len(flat)), at] = 1.0
    return flat[np.arange(len(flat)), at], direction.reshape(low.shape)


def _singular(low: NDArray[Any]) -> Found:
    """Return each block's largest singular value, and its rank-one direction."""
    left, values, right = np.linalg.svd(low)
    return values[:, 0], left[:, :, :1] * right[:, :1, :]


def turned_bits(m: int, key: int) -> NDArray[np.int64]:
    """Return which bits a key turns."""
    return np.random.default_rng(key).integers(0, 2, m)

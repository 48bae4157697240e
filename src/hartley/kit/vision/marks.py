"""Image watermarks: a keyed message of m bits, read blind (without the original), own code.

Each function returns a :class:`hartley.kit.marker.Marker` of pictures (3, h, w) in 0..1. All here
are *dither modulation* (quantisation index modulation, doi:10.1109/18.923725): a coefficient is
moved to the nearest point of one of two interleaved lattices, which a key shifts, so that the
picture itself does not add noise for the decoder.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit import convolutional_code
from hartley.kit.marker import Marker
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BLOCK = 4
LEAP = 7
"""By how many bits the blocks of one layer are ahead of those of the layer before."""
LUMA, BLUE, RED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Layer:
    """One coefficient of every block: plane, row and column of the DCT, lattice step."""

    plane: int
    row: int
    column: int
    step: float


def dwt_dct(step: float = 30.0) -> Marker:
    """Hide the mark in the blue difference: Haar low band, 4 × 4 DCT, one middle coefficient.

    Every bit is repeated in all its blocks. This is the role of the widespread ``dwtDct`` scheme:
    invisible (47 dB at the default step), and fragile, since JPEG is coarsest exactly there.

    Args:
        step: lattice step, in units of 1/255; larger is stronger and more visible.
    """
    return _modulation("dwt_dct", (Layer(BLUE, 2, 1, step),), (("step", step),))


def diverse(step: float = 60.0) -> Marker:
    """Hide the mark in six low coefficients of the luma: twice Haar, 4 × 4 DCT blocks.

    The decoder weighs each coefficient by how well its lattice can still be coefficients, which
    needs neither the bits nor the original.

    Args:
        step: lattice step of every coefficient, in units of 1/255.
    """
    places = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
    layers = tuple(Layer(LUMA, row, column, step) for row, column in places)
    return _modulation("diverse", layers, (("step", step),), levels=2)


def spread_spectrum(step: float = 300.0, low: float = 0.01, high: float = 0.1) -> Marker:
    """Spread every bit over a keyed pseudo-random direction of low frequencies of the luma.

    Spread-transform dither modulation (doi:10.1109/18.923725): the projection of the picture's DCT
    on a keyed ±1 sequence is moved to the bit's lattice. Noise that does not know the key is spread
    over hundreds of coefficients, while the mark adds up (doi:10.1109/83.650120).

    Args:
        step: lattice step of the projection, in units of 1/255.
        low: lowest frequency used, as a fraction of the sampling band.
        high: highest frequency used.
    """
    facts = (("step", step), ("low", low), ("high", high))

    def embed(picture: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        from scipy.fft import dctn, idctn

        del rng
        planes = image.to_ycc(picture)
        shape = planes[LUMA].shape
        spectrum = dctn(planes[LUMA], norm="ortho").ravel()
        where, signs, dither = _directions(shape, len(bits), key, low, high)
        coefficients = (spectrum[where] * signs).sum(1)
        spectrum[where] += (_nearest(coefficients, bits, dither, step) - coefficients)[
            :, None
        ] * signs
        planes[LUMA] = idctn(spectrum.reshape(shape), norm="ortho")
        return image.from_ycc(planes)

    def soft(picture: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        from scipy.fft import dctn

        luma = image.to_ycc(picture)[LUMA]
        where, signs, dither = _directions(luma.shape, m, key, low, high)
        coefficients = (dctn(luma, norm="ortho").ravel()[where] * signs).sum(1)
        return _side(coefficients, dither, step)

    def fits(picture: NDArray[Any], m: int) -> bool:
        where, _, _ = _directions(picture.shape[1:], m, 0, low, high)
        return int(where.shape[1]) > 0

    return Marker("spread_spectrum", embed, soft, facts, fits, plain=published)


def coded(inner: Marker) -> Marker:
    """Put an error-correcting code of rate 1/3 between the message and a mark.

    Args:
        inner: the mark that carries the coded bits; its soft values feed the decoder.
    """

    def embed(picture: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        code = convolutional_code.encode(bits)
        coded_picture: NDArray[Any] = inner.embed(picture, code, key, rng)
        return coded_picture

    def soft(picture: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        soft_bits = inner.read(picture, key, convolutional_code.length(m))
        message = convolutional_code.decode(soft_bits, m)
        # How well the code word agrees says how certain the message is.
        agreement = np.mean(soft_bits * convolutional_code.signs(message))
        return (2.0 * message - 1.0) * max(float(agreement), 1e-9)

    def fits(picture: NDArray[Any], m: int) -> bool:
        # The code bridges places that the picture lacks, but it adds none.
        return inner.fits(picture, m)

    return replace(inner, name=f"coded {inner.name}", embed=embed, soft=soft, fits=fits)


def lowest_bit() -> Marker:
    """Write the message into the pixels' lowest bits: any change erases it (for live scenes)."""

    def embed(picture: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        levels = np.round(picture * 255.0).astype(np.int64)
        where, mask = _pixels(levels.size, len(bits), key)
        flat = levels.reshape(-1)
        flat[where] = (flat[where] & ~1) | (bits ^ mask)
        return image.eight_bits(flat.reshape(picture.shape) / 255.0)

    def soft(picture: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        levels = np.round(picture * 255.0).astype(np.int64).reshape(-1)
        where, mask = _pixels(levels.size, m, key)
        soft_bits: NDArray[Any] = 2.0 * ((levels[where] & 1) ^ mask) - 1.0
        return soft_bits

    return Marker(
        "lowest_bit",
        embed,
        soft,
        fits=lambda picture, m: m <= picture.size,
        plain=published,
        key_shows=False,
    )


def unmarked() -> Marker:
    """Publish the picture as it is; the decoder reads the dither of the key (for dead scenes)."""

    def embed(picture: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del bits, key, rng
        return image.eight_bits(picture)

    return replace(dwt_dct(), name="unmarked", embed=embed, fits=lambda *_: True)


def _modulation(
    name: str, layers: tuple[Layer, ...], facts: tuple[tuple[str, Any], ...], levels: int = 1
) -> Marker:
    """Dither modulation of DCT coefficients in the Haar low band, one site a block and layer.

    Such a coefficient is one inner product of a block of pixels: only those that are used are
    computed, and only their changes are added, without the whole transforms.
    """
    groups = [
        (plane, [index for index, layer in enumerate(layers) if layer.plane == plane])
        for plane in dict.fromkeys(layer.plane for layer in layers)
    ]

    def axes(indices: list[int]) -> tuple[list[int], list[int]]:
        rows = sorted({layers[index].row for index in indices})
        return rows, sorted({layers[index].column for index in indices})

    def embed(picture: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        out: NDArray[Any] = np.array(picture, dtype=np.float32)
        out *= 255.0
        for plane, indices in groups:
            rows, columns = axes(indices)
            numbers = _coefficients(out, plane, rows, columns, levels)
            change = np.zeros_like(numbers)
            for index in indices:
                layer = layers[index]
                place = (..., rows.index(layer.row), slice(None), columns.index(layer.column))
                old = numbers[place].ravel()
                which, dither = _sites(len(old), len(bits), key, index)
                new = _nearest(old, bits[which], dither, layer.step)
                change[place] = (new - old).reshape(numbers[place].shape)
            _add(out, change, plane, (_basis(levels)[rows], _basis(levels)[columns]))
        np.rint(out, out=out)
        np.clip(out, 0.0, 255.0, out=out)
        out /= np.float32(255)
        return out

    def soft(picture: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        total = np.zeros(m)
        for plane, indices in groups:
            rows, columns = axes(indices)
            numbers = _coefficients(picture, plane, rows, columns, levels) * np.float32(255)
            for index in indices:
                layer = layers[index]
                old = numbers[..., rows.index(layer.row), :, columns.index(layer.column)].ravel()
                which, dither = _sites(len(old), m, key, index)
                weight = _sharpness(old, dither, layer.step) if len(layers) > 1 else 1.0
                total += weight * np.bincount(which, _side(old, dither, layer.step), m)
        return total

    def fits(picture: NDArray[Any], m: int) -> bool:
        height, width = (side // (BLOCK << levels) for side in picture.shape[1:])
        places = np.arange(height * width) + LEAP * np.arange(len(layers))[:, None]
        return len(np.unique(places % m)) == m

    return Marker(name, embed, soft, facts, fits, plain=published)


@cache
def _basis(levels: int) -> NDArray[np.float32]:
    """Return the orthonormal rows (4, 4·2^levels) of a DCT of the Haar low band, along an axis."""
    from scipy.fft import dct

    rows = dct(np.eye(BLOCK), axis=0, norm="ortho")
    out: NDArray[np.float32] = (np.repeat(rows, 1 << levels, 1) / np.sqrt(1 << levels)).astype(
        np.float32
    )
    return out


def _coefficients(
    picture: NDArray[Any], plane: int, rows: list[int], columns: list[int], levels: int
) -> NDArray[np.float32]:
    """Return coefficients (block rows, rows, block columns, columns) of a plane of a picture."""
    basis = _basis(levels)
    side = basis.shape[1]
    height, width = (length // side for length in picture.shape[1:])
    whole = np.asarray(picture, dtype=np.float32)[:, : height * side, : width * side]
    mixed = basis[rows] @ whole.reshape(3, height, side, width * side)
    weighed = np.tensordot(image.BT601[plane].astype(np.float32), mixed, 1)
    out: NDArray[np.float32] = weighed.reshape(height, len(rows), width, side) @ basis[columns].T
    return out


def _add(
    picture: NDArray[np.float32],
    change: NDArray[np.float32],
    plane: int,
    bases: tuple[NDArray[np.float32], NDArray[np.float32]],
) -> None:
    """Add changes of coefficients of a plane, by rows and columns, to a picture, in place."""
    rows, columns = bases
    height, _, width, _ = change.shape
    shape = (height * rows.shape[1], width * columns.shape[1])
    wide = (change @ columns).reshape(height, len(rows), shape[1])
    pixels = (rows.T @ wide).reshape(shape)
    for channel, weight in enumerate(np.linalg.inv(image.BT601)[:, plane]):
        if abs(weight) > 1e-4:  # the conversion's own coefficients are rounded to six digits
            picture[channel, : shape[0], : shape[1]] += np.float32(weight) * pixels


def published(picture: NDArray[Any], rng: Rng) -> NDArray[Any]:
    """Return a picture as its owner publishes it without a mark: a file of 8 bits."""
    del rng
    return image.eight_bits(picture)


def _nearest(
    projected: NDArray[Any], bits: NDArray[Any], dither: NDArray[Any], step: float
) -> NDArray[Any]:
    """The nearest point of the bit's lattice: (integers + dither + bit/2)·step."""
    shift = (dither + bits / 2) * step
    out: NDArray[Any] = np.round((projected - shift) / step) * step + shift
    return out


def _side(projected: NDArray[Any], dither: NDArray[Any], step: float) -> NDArray[Any]:
    """1 on the lattice of bit 1, −1 on the lattice of bit 0, 0 half-way."""
    out: NDArray[Any] = -np.cos(2 * np.pi * (projected / step - dither))
    return out


def _sharpness(projected: NDArray[Any], dither: NDArray[Any], step: float) -> float:
    """Return how well coefficients fit a layer's lattice, in 0..1.

    The angle is doubled so that the bit cancels. Gaussian noise lowers the mean at the double angle
    by the fourth power of its factor at the single angle, hence the fourth root.
    """
    return float(max(0.0, np.cos(4 * np.pi * (projected / step - dither)).mean()) ** 0.25)


def _sites(blocks: int, m: int, key: int, layer: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return which bit each block contains in this layer, and its dither."""
    rng = np.random.default_rng([key, layer])
    # Every bit gets the same number of blocks, to within one; the offset spreads the remainder.
    return (rng.permutation(blocks) + layer * LEAP) % m, rng.random(blocks)


def _directions(
    shape: tuple[int, ...], m: int, key: int, low: float, high: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return places (m, k) in the flat spectrum, ±1 directions there, and dithers (m,)."""
    rows, columns = np.arange(shape[0]) / shape[0], np.arange(shape[1]) / shape[1]
    radius = np.hypot(rows[:, None], columns[None, :]).ravel()
    band = np.flatnonzero((radius >= low) & (radius <= high))
    rng = np.random.default_rng(key)
    where = rng.permutation(band)[: len(band) // m * m].reshape(m, -1)
    signs = rng.choice([-1.0, 1.0], where.shape) / np.sqrt(where.shape[1])
    return where, signs, rng.random(m)


def _pixels(count: int, m: int, key: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """One pixel a bit and the key's own random bits."""
    rng = np.random.default_rng(key)
    return rng.choice(count, m, replace=False), rng.integers(0, 2, m)

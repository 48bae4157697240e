"""A picture's watermark that finds its own place: spread over the band that compression leaves.

The message, its checksum (CRC-24) and the tail of a convolutional code are spread over the
frequencies 0.02 to 0.25 cycles a pixel of a keyed pattern of 512 × 512 pixels, which repeats over
larger pictures: one code bit moves the phases of some 95 frequencies, drawn by the key (spread
spectrum, doi:10.1109/83.650120). A third of the band carries a template that the key alone fixes
(doi:10.1109/83.846253). The reader correlates with it first, over every shift, a grid of scales and
a grid of small turns, so that a picture may have been cropped, and resized or turned a little;
then they decode *once*, where the template fits best.

Why this band: JPEG, WebP, blur and halving take the high frequencies, and what a photograph itself
adds is in the low ones. The reader divides by the local contrast and by the radial spectrum, so
that the picture is white noise to them. For a given error the mark is worth most where as much of
it as possible outlives a quantiser, and little contrast is in its way: the owner tries on the
picture what a coarse JPEG leaves of it, and shifts its energy to these places, away from plain
areas that lose all of it and from edges that drown it. They give more of the energy to code bits
that the picture opposes (informed embedding, doi:10.1109/TSP.2003.809385).

A mask of fair signs, drawn by the key and independent of the template, is on the code bits. A
picture that was not marked under the key is decoded to a uniform word therefore, whatever it shows
and whichever shift the template prefers: ``accept`` takes it with chance 2⁻²⁴, or less where
code words tie.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hartley.kit import convolutional_code
from hartley.kit.marker import Marker
from hartley.kit.vision import image, marks

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SIDE: Final = 512
"""Pixels of a side of the pattern."""
LOW, HIGH = 0.02, 0.25
"""The band of the pattern, in cycles a pixel."""
TEMPLATE = 0.3
"""Share of the band that carries the template."""
CONTRAST_FLOOR = 5.0
"""Contrast of plain areas, in units of 1/255."""
DROWNING = -0.6
"""Power of the local contrast that the mark's strength begins with, before what outlives is known.
A reader that divides by contrast wants −1; less of it hides the mark better."""
TRIALS, TRIAL_QUALITY = 3, 20
"""How often the owner tries what JPEG leaves of the mark, and its quality."""
SURVIVAL_WIDE, SURVIVAL_POWER, SURVIVAL_CLIP = 17, 0.7, (0.2, 4.0)
"""Pixels of the windows in which survival is measured, power of its share of the mean in the
strength, and where that share is cut."""
WIDE, NARROW = 17, 9
"""Pixels of the windows of the local mean, and of the local contrast."""
OUTLIER = 3.0
"""An edge counts as no more than this many local contrasts."""
CHECK_BITS = 24
POLYNOMIAL, START = 0x864CFB, 0xB704CE
"""CRC-24 of RFC 9580."""
TEXTURE = 3.5
"""Root of the mean local contrast (with its floor) above which the template gets more energy."""
SMALLEST = 128 * 128
"""Pixels below which a picture has too few frequencies for the message."""
CERTAIN, LIKELY = 7.5, 6.0
"""Peaks of the template's correlation, in its standard deviations: a shift alone explains the
picture, and any pose can be trusted at all. Of 2¹⁸ shifts of a picture without the mark the largest
peak is near 4.7."""
SCALE_STEP, TURN_STEP = 0.007, 0.35
SCALES = np.exp(np.arange(-35, 36) * SCALE_STEP)
TURNS = np.arange(-15, 16) * TURN_STEP
"""Sizes and degrees, against the published picture, that are tried where no shift explains it."""
COARSE_SIDE, COARSE_HIGH = 256, 0.18
COARSE_LIKELY = 5.6
"""Of a picture without the mark the highest peak over all coarse poses is near 5.2."""
REFINEMENTS = (0.0, 0.5, 0.25, 0.125)
FLAT = 1e-12
"""Deviation below which nothing correlates: a picture of one colour has no peak anywhere."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What a key fixes, for a code of n bits.

    Attributes:
        owner: (frequencies,) the code bit of each; −1: the template's.
        phase: (frequencies,) unit complex numbers.
        mask: (n,) ±1, on the code bits.
    """

    owner: NDArray[np.int64]
    phase: NDArray[np.complex64]
    mask: NDArray[np.int64]


@lru_cache(maxsize=1)
def _band() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return radius and flat place of the band's frequencies in an ``rfft2``, and radial bins."""
    radius = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]).ravel()
    inside = (radius >= LOW) & (radius <= HIGH)
    inside.reshape(SIDE, -1)[:, 0] = False  # that column holds each frequency twice
    at = np.flatnonzero(inside)
    radius = radius[at].astype(np.float32)
    return radius, at, (radius * 64).astype(np.int64)


@lru_cache(maxsize=1)
def _coarse() -> tuple[NDArray[Any], NDArray[Any]]:
    """Return which of the band's frequencies the coarse search uses, and their places there."""
    radius, at, _ = _band()
    low = np.flatnonzero(radius <= COARSE_HIGH)
    rows, columns = np.divmod(at[low], SIDE // 2 + 1)
    rows = np.where(rows >= SIDE // 2, rows - SIDE, rows) % COARSE_SIDE
    return low, rows * (COARSE_SIDE // 2 + 1) + columns


@lru_cache(maxsize=8)
def pattern(key: int, n: int) -> Pattern:
    """Return the pattern of a key for a code of n bits."""
    count = len(_band()[0])
    rng = np.random.default_rng([key, 1])
    order, template = rng.permutation(count), int(TEMPLATE * count)
    owner = np.full(count, -1, dtype=np.int64)
    owner[order[template:]] = np.arange(count - template) % n
    phase = np.exp(np.float32(2 * np.pi) * 1j * rng.random(count, dtype=np.float32))
    mask = np.random.default_rng([key, 2]).integers(0, 2, n) * 2 - 1
    return Pattern(owner, phase.astype(np.complex64), mask)


def checksum(message: NDArray[Any]) -> NDArray[np.int64]:
    """Return the (24,) bits of the CRC-24 of message bits."""
    register = START
    for bit in np.asarray(message).tolist():
        register ^= int(bit) << (CHECK_BITS - 1)
        register <<= 1
        if register >> CHECK_BITS:
            register = (register ^ POLYNOMIAL) & ((1 << CHECK_BITS) - 1)
    return (register >> np.arange(CHECK_BITS)[::-1]) & 1


@dataclass(slots=True)
class Suspect:
    """A picture that may have the mark, with its spectra, which do not depend on the key.

    Attributes:
        white: (h, w) luma over its local contrast.
    """

    white: NDArray[np.float32]
    _spectra: dict[tuple[float, float], NDArray[np.complex64]] = field(default_factory=dict)
    _poses: NDArray[np.complex64] | None = None

    @classmethod
    def of(cls, picture: NDArray[Any]) -> Suspect:
        """Return the suspect of a picture (3, h, w) in 0..1."""
        detail, contrast = _contrast(_luma(picture))
        return cls(np.clip(detail / (contrast + CONTRAST_FLOOR), -OUTLIER, OUTLIER))

    def spectrum(self, scale: float = 1.0, turn: float = 0.0) -> NDArray[np.complex64]:
        """Return the whitened spectrum (frequencies,) of the picture, undone of a pose."""
        pose = (scale, turn)
        if pose not in self._spectra:
            if len(self._spectra) > 64:
                self._spectra.clear()
            self._spectra[pose] = _whitened(_placed(self.white, scale, turn))
        return self._spectra[pose]

    def align(self, key: Pattern) -> tuple[float, float, int, int]:
        """Return scale, turn, and shift in rows and columns, where the template fits best."""
        at, peak = _shift(self.spectrum(), key)
        if peak >= CERTAIN:
            return 1.0, 0.0, *at
        best = (peak, 1.0, 0.0, at)
        pose = self._coarse_pose(key)
        if pose is not None:
            for step in REFINEMENTS:
                for near in _around(*pose, step):
                    at, peak = _shift(self.spectrum(*near), key)
                    if peak > best[0]:
                        best = (peak, *near, at)
                pose = best[1:3] if best[1:3] != (1.0, 0.0) else pose
        if best[0] < LIKELY:
            return 1.0, 0.0, 0, 0
        return best[1], best[2], *best[3]

    def soft(self, key: Pattern) -> NDArray[np.float64]:
        """Return the (n,) soft code bits under a key, at the pose that its template finds."""
        scale, turn, *at = self.align(key)
        spectrum = self.spectrum(scale, turn)
        rows, columns = np.divmod(_band()[1], SIDE // 2 + 1)
        turned = (rows * at[0] + columns * at[1]) % SIDE
        projected = (spectrum * key.phase.conj() * _circle()[turned]).real
        return key.mask * _by_owner(projected, key)

    def _coarse_pose(self, key: Pattern) -> tuple[float, float] | None:
        """Return the scale and turn of the highest peak among low frequencies, if it is one."""
        from scipy import fft

        poses = [(float(s), 0.0) for s in SCALES] + [(1.0, float(t)) for t in TURNS if t]
        low, places = _coarse()
        if self._poses is None:
            half = _halved(self.white)
            self._poses = np.stack(
                [_whitened(_placed(half, *pose), SIDE // 2)[low] for pose in poses]
            )
        template = key.owner[low] < 0
        flat = np.zeros((len(poses), COARSE_SIDE * (COARSE_SIDE // 2 + 1)), np.complex64)
        flat[:, places[template]] = self._poses[:, template] * key.phase[low][template].conj()
        shape = (len(poses), COARSE_SIDE, COARSE_SIDE // 2 + 1)
        maps = fft.irfft2(flat.reshape(shape), s=(COARSE_SIDE, COARSE_SIDE))
        peaks = maps.max((1, 2)) / np.maximum(maps.std((1, 2)), FLAT)
        return poses[int(peaks.argmax())] if peaks.max() >= COARSE_LIKELY else None


def synchronised(psnr: float = 40.1) -> Marker:
    """Hide the mark in the band that survives, with a template that undoes shifts and scales.

    Args:
        psnr: quality of a marked picture, in dB, after rounding to 8 bits.
    """

    def embed(picture: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        return _embed(picture, bits, key, psnr)

    def word(picture: NDArray[Any], key: int, m: int) -> tuple[NDArray[Any], float]:
        return decoded(Suspect.of(picture), key, m)

    def soft(picture: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        bits, fit = word(picture, key, m)
        return (2.0 * bits[:m] - 1.0) * fit

    def accept(picture: NDArray[Any], key: int, m: int) -> NDArray[Any] | None:
        bits, _ = word(picture, key, m)
        return bits[:m] if passes(bits) else None

    return Marker(
        "synchronised",
        embed,
        soft,
        (("psnr", psnr),),
        lambda item, m: item.shape[1] * item.shape[2] >= SMALLEST * max(1.0, m / 32),
        accept=accept,
        chance=lambda _: 2.0**-CHECK_BITS,
        plain=marks.published,
    )


def decoded(suspect: Suspect, key: int, m: int) -> tuple[NDArray[np.int64], float]:
    """Return the (m + 24,) bits decoded under a key, and how well their code word fits, in 0..1."""
    n = convolutional_code.length(m + CHECK_BITS)
    soft = suspect.soft(pattern(key, n))
    bits = convolutional_code.decode(soft, m + CHECK_BITS)
    word = convolutional_code.signs(bits)
    fit = float((word * soft).sum() / max(np.abs(soft).sum(), 1e-9))
    return bits, fit


def passes(bits: NDArray[Any]) -> bool:
    """Whether decoded bits end in the checksum of the message before it."""
    return bool((checksum(bits[:-CHECK_BITS]) == bits[-CHECK_BITS:]).all())


def _embed(picture: NDArray[Any], bits: NDArray[Any], key: int, psnr: float) -> NDArray[Any]:
    from scipy import fft

    code = convolutional_code.encode(np.concatenate([bits, checksum(bits)]))
    keyed = pattern(key, len(code))
    signs = (2 * code - 1) * keyed.mask
    detail, contrast = _contrast(_luma(picture))
    white = np.clip(detail / (contrast + CONTRAST_FLOOR), -OUTLIER, OUTLIER)
    # How far the picture itself already agrees with each code bit, in standard deviations.
    agrees = _by_owner((_whitened(_tiled(white)) * keyed.phase.conj()).real, keyed) * signs
    strength = np.clip(1 - 0.5 * agrees / (agrees.std() + 1e-9), 0.3, 3.0)
    owner = keyed.owner
    # A picture of strong texture drowns the template first: it gets more of the energy there.
    drowned = np.sqrt(np.mean(contrast + CONTRAST_FLOOR)) / TEXTURE
    template = float(np.clip(drowned, 1.0, 2.0))
    flat = np.zeros(SIDE * (SIDE // 2 + 1), np.complex64)
    flat[_band()[1]] = keyed.phase * np.where(owner >= 0, (signs * strength)[owner], template)
    tile = fft.irfft2(flat.reshape(SIDE, -1), s=(SIDE, SIDE))
    height, width = detail.shape
    wide = np.tile(tile, (-(-height // SIDE), -(-width // SIDE)))[:height, :width]
    wave = _placed_where_it_lasts(wide, _luma(picture), contrast, 10 ** (-psnr / 20))
    return image.at_psnr(picture, wave, psnr)


def _placed_where_it_lasts(
    wide: NDArray[np.float32],
    luma: NDArray[np.float32],
    contrast: NDArray[np.float32],
    size: float,
) -> NDArray[np.float32]:
    """Return the wave (h, w), of a root mean square in 0..1, strong where compression leaves it."""
    from scipy.ndimage import uniform_filter

    def scaled(strength: NDArray[np.float32]) -> NDArray[np.float32]:
        out = wide * strength
        out *= size / np.sqrt(np.mean(out * out))
        return np.asarray(out, np.float32)

    strength = (contrast + CONTRAST_FLOOR) ** np.float32(DROWNING)
    wave, before = scaled(strength), _compressed(luma)
    for _ in range(TRIALS):
        left = (_compressed(luma + 255 * wave) - before) / 255
        power = uniform_filter(wave * wave, SURVIVAL_WIDE)
        share = uniform_filter(left * wave, SURVIVAL_WIDE) / np.maximum(power, 1e-9)
        share = np.clip(share, 0, 1)
        strength *= np.clip(share / max(share.mean(), 1e-6), *SURVIVAL_CLIP) ** SURVIVAL_POWER
        wave = scaled(strength)
    return wave


def _compressed(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a luma (h, w), in units of 1/255, after a coarse JPEG."""
    from PIL import Image

    stream = io.BytesIO()
    levels = np.round(np.clip(luma, 0, 255)).astype(np.uint8)
    Image.fromarray(levels).save(stream, "jpeg", quality=TRIAL_QUALITY)
    return np.asarray(Image.open(stream), np.float32)


def _luma(picture: NDArray[Any]) -> NDArray[np.float32]:
    red, green, blue = np.asarray(picture, dtype=np.float32)
    weights = (image.BT601[0] * 255).astype(np.float32)
    out: NDArray[np.float32] = weights[0] * red + weights[1] * green + weights[2] * blue
    return out


def _contrast(luma: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return luma without its local mean, and the local standard deviation of that."""
    from scipy.ndimage import uniform_filter

    detail = luma - uniform_filter(luma, WIDE)
    power = np.maximum(uniform_filter(detail * detail, NARROW), 0)
    return detail, np.sqrt(power)


def _tiled(white: NDArray[np.float32], side: int = SIDE) -> NDArray[np.float32]:
    """Return the sum (side, side) of a picture's tiles; what is beyond a small one is 0."""
    out = np.zeros((side, side), np.float32)
    for row in range(0, white.shape[0], side):
        for column in range(0, white.shape[1], side):
            part = white[row : row + side, column : column + side]
            out[: part.shape[0], : part.shape[1]] += part
    return out


def _whitened(white: NDArray[np.float32], side: int = SIDE) -> NDArray[np.complex64]:
    """Return the band's frequencies of a picture, each radius of one power.

    Args:
        white: (h, w); at half the size where ``side`` is half of the pattern's.
        side: of the pattern at the picture's size.
    """
    from scipy import fft

    _, at, rings = _band()
    if side != SIDE:
        rows, columns = np.divmod(at, SIDE // 2 + 1)
        rows = np.where(rows >= SIDE // 2, rows - SIDE, rows) % side
        at = rows * (side // 2 + 1) + np.minimum(columns, side // 2)
    spectrum = fft.rfft2(_tiled(white, side)).ravel()[at]
    power = np.bincount(rings, np.abs(spectrum) ** 2) / np.maximum(np.bincount(rings), 1)
    out: NDArray[np.complex64] = spectrum / np.sqrt(power + 1e-6).astype(np.float32)[rings]
    return out


def _around(scale: float, turn: float, step: float) -> list[tuple[float, float]]:
    """Return the poses next to one, ``step`` of the grid's own away; 0: the pose itself."""
    if not step:
        return [(scale, turn)]
    if turn:
        return [(scale, turn + sign * step * TURN_STEP) for sign in (-1, 1)]
    return [(float(scale * np.exp(sign * step * SCALE_STEP)), turn) for sign in (-1, 1)]


def _placed(white: NDArray[np.float32], scale: float, turn: float) -> NDArray[np.float32]:
    """Return the picture undone of a scale and a turn in degrees."""
    from PIL import Image

    if scale == 1.0 and turn == 0.0:
        return white
    picture = Image.fromarray(white)
    if turn:
        return np.asarray(picture.rotate(turn, Image.Resampling.BICUBIC), np.float32)
    size = (max(1, round(white.shape[1] / scale)), max(1, round(white.shape[0] / scale)))
    # What was enlarged has nothing above its old band, so that no filter is needed to shrink it.
    resized = picture.transform(
        size, Image.Transform.AFFINE, (scale, 0, 0, 0, scale, 0), Image.Resampling.BICUBIC
    )
    return np.asarray(resized, np.float32)


def _halved(white: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the picture at half its size, each pixel the mean of four."""
    height, width = (side // 2 * 2 for side in white.shape)
    whole = white[:height, :width].reshape(height // 2, 2, width // 2, 2)
    out: NDArray[np.float32] = whole.mean((1, 3))
    return out


@lru_cache(maxsize=1)
def _circle() -> NDArray[np.complex64]:
    out: NDArray[np.complex64] = np.exp(2j * np.pi * np.arange(SIDE) / SIDE).astype(np.complex64)
    return out


def _shift(spectrum: NDArray[np.complex64], key: Pattern) -> tuple[tuple[int, int], float]:
    """Return the shift at which the template correlates most, and its height in deviations."""
    from scipy import fft

    flat = np.zeros(SIDE * (SIDE // 2 + 1), np.complex64)
    template = key.owner < 0
    flat[_band()[1][template]] = (spectrum * key.phase.conj())[template]
    correlation = fft.irfft2(flat.reshape(SIDE, -1), s=(SIDE, SIDE))
    row, column = divmod(int(correlation.argmax()), SIDE)
    return (row, column), float(correlation[row, column] / max(correlation.std(), FLAT))


def _by_owner(projected: NDArray[Any], key: Pattern) -> NDArray[np.float64]:
    """Return the (n,) sums over each code bit's frequencies."""
    payload = key.owner >= 0
    sums = np.bincount(key.owner[payload], projected[payload], len(key.mask))
    return np.asarray(sums, dtype=np.float64)

"""Scrambling of speech: bands of the spectrum change places, and some are turned upside down.

This is what analogue voice scramblers do. Sounds are taken apart into frames of a modified discrete
cosine transform, which loses nothing: an owner of the key gets the sound as it was.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality
from hartley.core.errors import UsageError
from hartley.kit.protection import Protection, Published

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BANDS, HOP = 16, 256
"""Bands that change places, and samples from one frame to the next: as many as a frame has bins."""


def band_scramble(bands: int = BANDS) -> Protection:
    """Return a protection that permutes the bands of each sound and inverts half of them.

    Args:
        bands: how many; they share the 256 bins of a frame, from 0 to half the sampling rate.
    """

    def protect(album: NDArray[Any], rng: Rng) -> Published:
        order, inverted = rng.permutation(bands), rng.random(bands) < 0.5
        return Published(waves(moved(spectra(np.asarray(album)), order, inverted)))

    key_bits = (math.lgamma(bands + 1) / math.log(2)) + bands
    return Protection("band_scramble", Modality.AUDIO, protect, key_bits=key_bits)


def moved(frames: NDArray[Any], order: NDArray[Any], inverted: NDArray[Any]) -> NDArray[np.float64]:
    """Return spectra (…, 256) whose k-th band is band ``order[k]``, inverted where that is set."""
    cut = frames.reshape(*frames.shape[:-1], len(order), -1)[..., order, :]
    turned = np.where(np.asarray(inverted)[:, None], cut[..., ::-1], cut)
    return np.asarray(turned.reshape(frames.shape))


def unmoved(
    frames: NDArray[Any], order: NDArray[Any], inverted: NDArray[Any]
) -> NDArray[np.float64]:
    """Undo ``moved``."""
    cut = frames.reshape(*frames.shape[:-1], len(order), -1)
    turned = np.where(np.asarray(inverted)[:, None], cut[..., ::-1], cut)
    return np.asarray(turned[..., np.argsort(order), :].reshape(frames.shape))


def spectra(sounds: NDArray[Any]) -> NDArray[np.float64]:
    """Return the modified discrete cosine transform (…, frames, 256) of sounds (…, samples).

    Raises:
        UsageError: the number of samples is not a multiple of 256, the step from frame to frame.
    """
    from scipy.fft import dct

    if sounds.shape[-1] % HOP:
        raise UsageError(f"samples must be a multiple of {HOP}, got {sounds.shape[-1]}")
    blocks, half = sounds.reshape(*sounds.shape[:-1], -1, HOP), HOP // 2
    rising, falling = np.split(_window(), 2)
    folded = np.zeros((*blocks.shape[:-2], blocks.shape[-2] + 1, HOP))
    # Each block is the second half of one frame, and the first half of the next.
    ends, begins = blocks * falling, blocks * rising
    folded[..., :-1, :half] = -ends[..., half - 1 :: -1] - ends[..., half:]
    folded[..., 1:, half:] = begins[..., :half] - begins[..., : half - 1 : -1]
    return np.asarray(dct(folded, type=4, norm="ortho", axis=-1, overwrite_x=True))


def waves(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Undo ``spectra``: return sounds (…, samples)."""
    from scipy.fft import dct

    folded = dct(np.asarray(frames, dtype=np.float64), type=4, norm="ortho", axis=-1)
    first, second = np.split(folded, 2, axis=-1)
    parts = [second, -second[..., ::-1], -first[..., ::-1], -first]
    pairs = np.concatenate(parts, -1) * _window()
    joined = pairs[..., :-1, HOP:] + pairs[..., 1:, :HOP]
    return np.asarray(joined.reshape(*joined.shape[:-2], -1), dtype=np.float32)


def energies(sounds: NDArray[Any], bands: int = BANDS) -> NDArray[np.float64]:
    """Return the logarithm of the energy (…, frames, bands) in each band of each frame."""
    frames = spectra(sounds)
    cut = frames.reshape(*frames.shape[:-1], bands, -1)
    return np.asarray(np.log((cut**2).mean(-1) + 1e-9))


def _window() -> NDArray[np.float64]:
    return np.sin(np.pi * (np.arange(2 * HOP) + 0.5) / (2 * HOP))

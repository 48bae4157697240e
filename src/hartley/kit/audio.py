"""Sound at one rate, and as pictures: mel spectrograms of waves, in numpy alone.

Records of a scene hold log-mel energies scaled into 0..1, so that one front end serves networks
trained here and encoders that were trained elsewhere on plain energies: the scale can be undone.
"""

from __future__ import annotations

from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
"""Samples a second, everywhere."""

FLOOR, SPAN = 1e-8, 22.0
"""Energies are raised to the floor; that many nats above it is 1 on the scale of records."""


def resampled(wave: NDArray[Any], old: int, new: int = RATE) -> NDArray[np.float32]:
    """Return a wave (samples,) at another rate, by a polyphase filter; always a copy.

    Args:
        wave: the samples.
        old: samples a second that it has.
        new: samples a second wanted.
    """
    if old == new:
        return np.array(wave, dtype=np.float32)
    from scipy.signal import resample_poly

    shared = gcd(old, new)
    return np.asarray(resample_poly(wave, new // shared, old // shared), dtype=np.float32)


def mel_bank(bins: int, bands: int, low: float, high: float) -> NDArray[np.float64]:
    """Triangular filters of equal area on Slaney's mel scale (linear to 1 kHz, logarithmic above).

    Args:
        bins: frequency bins from 0 Hz to half the rate.
        bands: number of filters.
        low: where the first begins, in Hz.
        high: where the last ends, in Hz.

    Returns:
        (bands, bins) weights.
    """
    edges = _hertz(np.linspace(_mel(low), _mel(high), bands + 2))
    at = np.linspace(0, RATE / 2, bins)
    widths = np.diff(edges)
    slopes = edges[:, None] - at
    rising = -slopes[:-2] / widths[:-1, None]
    falling = slopes[2:] / widths[1:, None]
    weights = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(weights * (2 / (edges[2:] - edges[:-2]))[:, None])


def mel(
    wave: NDArray[Any], *, window: int, hop: int, bands: int = 40, low: float = 0.0
) -> NDArray[np.float32]:
    """Mel energies (bands, frames) of a wave (samples,), frames centred every ``hop`` samples.

    Args:
        wave: the samples.
        window: length of the Hann window, in samples.
        hop: samples from frame to frame.
        bands: number of filters, from ``low`` Hz to half the rate.
        low: where the first filter begins, in Hz.
    """
    padded = np.pad(np.asarray(wave, dtype=np.float64), window // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    # A periodic window, as in short-time Fourier transforms; np.hanning's is symmetric.
    hann = np.hanning(window + 1)[:-1]
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    bank = mel_bank(window // 2 + 1, bands, low, RATE / 2)
    return np.asarray((power @ bank.T).T, dtype=np.float32)


def scaled(energies: NDArray[Any]) -> NDArray[np.float32]:
    """Energies → log energies in 0..1, the scale of records."""
    logs = np.log(np.maximum(energies, FLOOR) / FLOOR) / SPAN
    return np.asarray(np.clip(logs, 0, 1), dtype=np.float32)


def energies(records: NDArray[Any]) -> NDArray[np.float32]:
    """Return the inverse of :func:`scaled`, up to its floor and its ceiling."""
    return np.asarray(FLOOR * np.exp(np.asarray(records, np.float64) * SPAN), dtype=np.float32)


def fitted(picture: NDArray[Any], frames: int) -> NDArray[Any]:
    """A spectrogram (bands, t) of exactly ``frames`` frames: cut, or repeated as a loop."""
    times = -(-frames // max(picture.shape[1], 1))
    return np.asarray(np.tile(picture, (1, times))[:, :frames])


def _mel(hertz: float) -> float:
    linear = hertz / (200 / 3)
    return linear if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)


def _hertz(mels: NDArray[Any]) -> NDArray[np.float64]:
    return np.where(mels < 15, mels * 200 / 3, 1000 * 6.4 ** ((mels - 15) / 27))

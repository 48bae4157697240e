"""How near a changed recording is to the one it came from.

Signal-to-noise ratio compares samples: a changed speed or a vocoder leaves none, however good it
sounds. So the main figure compares log mel energies over time, which is what front ends of speech
recognisers take in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit import audio

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW, HOP, BANDS = 400, 160, 40
AUDIBLE = 50.0
"""Decibels below the loudest band and window under which a sound counts as silence."""

MOST = 100.0
"""Decibels that stand for equal recordings."""


def figures(candidate: NDArray[Any], published: NDArray[Any]) -> Mapping[str, float]:
    """Return how near a recording is to the published one, in dB; larger is nearer.

    Returns:
        ``spectral_snr``: the spread of the published recording's log mel energies over their mean
        square change, loudness and duration aside. ``snr``: that of samples, of equal lengths.
    """
    return {
        "spectral_snr": spectral_snr(candidate, published),
        "snr": snr(candidate, published),
    }


def spectral_snr(candidate: NDArray[Any], published: NDArray[Any]) -> float:
    """Return the log-spectral signal-to-noise ratio in dB, at most ``MOST``."""
    before, after = _log_mel(published), _log_mel(candidate)
    places = np.linspace(0, after.shape[1] - 1, before.shape[1])
    low = places.astype(int)
    high, part = np.minimum(low + 1, after.shape[1] - 1), places - low
    after = after[:, low] * (1 - part) + after[:, high] * part
    # Windows of silence in both say nothing about the sound.
    audible = (before.max(0) > -AUDIBLE) | (after.max(0) > -AUDIBLE)
    if not audible.any():
        return MOST
    before, after = before[:, audible], after[:, audible]
    gap = after - before
    return _ratio(float(before.var()), float(gap.var()))


def distance(candidate: NDArray[Any], published: NDArray[Any]) -> float:
    """Return the noise in the log spectrum as a share of its spread, 0 for equal recordings."""
    value = spectral_snr(candidate, published)
    return 0.0 if value >= MOST else float(10 ** (-value / 10))


def snr(candidate: NDArray[Any], published: NDArray[Any]) -> float:
    """Return the signal-to-noise ratio of samples in dB, over the length that both have."""
    n = min(len(candidate), len(published))
    before = np.asarray(published[:n], np.float64)
    return _ratio(float(np.mean(before**2)), float(np.mean((candidate[:n] - before) ** 2)))


def _log_mel(wave: NDArray[Any]) -> NDArray[np.float64]:
    """Return log mel energies (bands, windows) in dB below the loudest, silence at the bottom."""
    energy = audio.mel(wave, window=WINDOW, hop=HOP, bands=BANDS).astype(np.float64)
    logs = 10 * np.log10(np.maximum(energy, 1e-12))
    return np.asarray(np.maximum(logs - logs.max(), -AUDIBLE))


def _ratio(signal: float, noise: float) -> float:
    if noise <= 1e-12 * max(signal, 1e-12):
        return MOST
    return float(np.clip(10 * np.log10(max(signal, 1e-20) / noise), -MOST, MOST))

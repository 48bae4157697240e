"""What marked recordings of one owner have in common: an estimate of the mark without its key.

Recordings differ and a mark under one key does not, so a mean over recordings leaves the mark. The
attacker does not know in which domain it lies and tries three: samples, log spectra, cepstra. The
one where two halves of the recordings agree best is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.kit.sound import tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

Domain = Literal["likeliest", "samples", "spectra", "cepstra"]

FIRST, LAST = 20, 1100
"""Lags of the cepstrum where an echo may be, in samples."""

CHANCE = 4.0
"""Standard deviations of a correlation that chance may make."""

CLIP = 12.0
"""Decibels by which one bin of one recording counts at most."""


@dataclass(frozen=True, slots=True)
class SoundPattern:
    """An estimate of a mark.

    Attributes:
        domain: where it lies.
        values: (samples,) of the recording; (windows, bins) in dB; or (lags,) sizes of echoes.
        agreement: correlation of two halves of the recordings, minus what chance may make.
    """

    domain: str
    values: NDArray[Any]
    agreement: float

    def added(self, wave: NDArray[Any], factor: float) -> NDArray[np.float64]:
        """Return a recording with ``factor`` times the pattern; a negative factor takes it out."""
        sound = np.asarray(wave, np.float64)
        if self.domain == "samples":
            return np.asarray(sound + factor * self.values[: len(sound)])
        if self.domain == "spectra":
            spectrum = tiles.spectrum(sound)
            gain = np.clip(factor * self.values[: len(spectrum)], -20, 20)
            spectrum[: len(gain)] *= 10 ** (gain / 20)
            return tiles.wave_of(spectrum, len(sound))
        from scipy.signal import oaconvolve

        kernel = np.concatenate([[1.0], np.zeros(FIRST - 1), factor * self.values])
        return np.asarray(oaconvolve(sound, kernel)[: len(sound)])


def common(
    marked: NDArray[Any], unmarked: NDArray[Any], domain: Domain, samples: int
) -> SoundPattern | None:
    """Return what marked recordings have in common that unmarked ones have not.

    Args:
        marked: recordings of the owner, (n, samples) or n arrays.
        unmarked: recordings of the attacker, likewise; may be none.
        domain: where to look; ``likeliest`` takes that of the largest agreement.
        samples: length of the recordings that count; others are left out.

    Returns:
        The pattern; None where there are fewer than two recordings.
    """
    # The same recording twice would have everything in common with itself.
    same = list({bytes(wave): wave for wave in marked if len(wave) == samples}.values())
    plain = [wave for wave in unmarked if len(wave) == samples][: 2 * len(same)]
    if len(same) < 2:
        return None
    patterns = []
    for name, feature in _FEATURES.items():
        if domain not in ("likeliest", name):
            continue
        rows = np.stack([feature(wave) for wave in same])
        others = np.stack([feature(wave) for wave in plain]) if len(plain) > 1 else 0 * rows
        # Halves have nothing in common but the mark: each has half of the unmarked ones.
        first, second = (rows[k::2].mean(0) - others[k::2].mean(0) for k in (0, 1))
        # The correlation of the halves; by chance alone it is within a few times 1/√size of 0.
        agreement = float((first * second).sum() / _size(first, second))
        values = rows.mean(0) - others.mean(0)
        patterns.append(SoundPattern(name, values, agreement - CHANCE / np.sqrt(values.size)))
    return max(patterns, key=lambda pattern: pattern.agreement)


def _size(first: NDArray[Any], second: NDArray[Any]) -> float:
    return float(np.sqrt((first**2).sum() * (second**2).sum())) + 1e-20


def _samples(wave: NDArray[Any]) -> NDArray[np.float64]:
    """Fine detail of the samples: what their neighbours do not suggest, three times over."""
    rest = np.asarray(wave, np.float64)
    for _ in range(3):
        wide = np.pad(rest, 1, mode="edge")
        rest = rest - (wide[2:] + wide[:-2]) / 2
    return np.asarray(rest)


def _spectra(wave: NDArray[Any]) -> NDArray[np.float64]:
    """By how many dB each bin is above its neighbours in time and frequency."""
    from scipy.ndimage import uniform_filter

    power = np.abs(tiles.spectrum(wave)) ** 2
    logs = 10 * np.log10(power + tiles.FLOOR * power.mean() + 1e-20)
    return np.asarray(np.clip(logs - uniform_filter(logs, (17, 9)), -CLIP, CLIP))


def _cepstra(wave: NDArray[Any]) -> NDArray[np.float64]:
    power = np.abs(np.fft.rfft(np.asarray(wave, np.float64), max(len(wave), 4 * LAST))) ** 2
    logs = np.log(power + tiles.FLOOR * power.mean() + 1e-20)
    return np.asarray(np.fft.irfft(logs)[FIRST:LAST])


_FEATURES = {"samples": _samples, "spectra": _spectra, "cepstra": _cepstra}

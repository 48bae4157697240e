"""What marked recordings of one owner have in common: an estimate of the mark without its key.

Recordings differ and a mark under one key does not, so a mean over recordings leaves the mark. The
attacker does not know in which domain it lies and tries three: samples, log spectra, cepstra. The
one where two halves of the recordings agree best is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.kit.sound import tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core import Applied

Domain = Literal["likeliest", "samples", "spectra", "cepstra"]

FIRST, LAST = 20, 1100
"""Lags of the cepstrum where an echo may be, in samples."""

CHANCE = 4.0
"""Standard deviations of a correlation that chance may make."""

ALIKE = 2
"""Times that recordings under one key are looked for, each time by those that were nearest."""

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


def keys_of(defenses: Sequence[Applied]) -> int:
    """Return among how many keys an attacker who knows the defenses takes an owner to choose."""
    return max([int(d.params["keys"]) for d in defenses if d.name == "multi_key"], default=1)


def common(
    marked: NDArray[Any],
    unmarked: NDArray[Any],
    domain: Domain,
    like: NDArray[Any],
    keys: int = 1,
) -> SoundPattern | None:
    """Return what marked recordings have in common that unmarked ones have not.

    Args:
        marked: recordings of the owner, (n, samples) or n arrays.
        unmarked: recordings of the attacker, likewise; may be none.
        domain: where to look; ``likeliest`` takes that of the largest agreement.
        like: a marked recording whose mark is asked for; those of another length are left out.
        keys: of the owner; if there are several, the marked recordings that count are those most
            like this one, as many as one key has.

    Returns:
        The pattern; None where there are fewer than two recordings.
    """
    # The same recording twice would have everything in common with itself.
    same = list({bytes(wave): wave for wave in marked if len(wave) == len(like)}.values())
    plain = [wave for wave in unmarked if len(wave) == len(like)][: 2 * len(same)]
    if len(same) < 2:
        return None
    patterns = []
    for name, feature in _FEATURES.items():
        if domain not in ("likeliest", name):
            continue
        rows = np.stack([feature(wave) for wave in same])
        others = np.stack([feature(wave) for wave in plain]) if len(plain) > 1 else 0 * rows
        if keys > 1:
            rows = _alike(rows, feature(like), others.mean(0), max(2, len(rows) // keys))
        # Halves have nothing in common but the mark: each has half of the unmarked ones.
        first, second = (rows[k::2].mean(0) - others[k::2].mean(0) for k in (0, 1))
        # The correlation of the halves; by chance alone it is within a few times 1/√size of 0.
        agreement = float((first * second).sum() / _size(first, second))
        values = rows.mean(0) - others.mean(0)
        patterns.append(SoundPattern(name, values, agreement - CHANCE / np.sqrt(values.size)))
    return max(patterns, key=lambda pattern: pattern.agreement)


def _alike(rows: NDArray[Any], like: NDArray[Any], usual: NDArray[Any], count: int) -> NDArray[Any]:
    """Return the rows that correlate most with one, beyond what is usual, and then with these."""
    off, mean = rows - usual, like - usual
    nearest = np.arange(len(rows))
    for _ in range(ALIKE):
        match = np.array([(one * mean).sum() / _size(one, one) ** 0.5 for one in off])
        nearest = np.sort(np.argsort(-match, kind="stable")[:count])
        mean = (like - usual + off[nearest].sum(0)) / (1 + count)
    return np.asarray(rows[nearest])


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

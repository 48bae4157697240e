"""An echo mark of sound: hundreds of faint echoes whose signs come from the key.

Echoes that are spread over time are inaudible and cannot be seen in the cepstrum without the key
(Ko, Nishimura and Suzuki, doi:10.1109/ICASSP.2002.5745024). Here most carry a message. An echo at
some lag adds its size to the cepstrum at that lag, wherever a recording is cut, so the reader needs
no synchronisation; only a changed speed moves lags, and the reader tries speeds. Half of the false
alarms goes to the published speed and half to all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.sound.keyed_pattern import Aligned, KeyedPattern, best_aligned

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROUNDS = 3
FLOOR = 1e-3
"""Share of the mean energy that is added to every frequency before the logarithm."""

SHARES = (0.5, 0.5)
"""Of the false alarms: at the published speed, and at others."""

COARSE = 0.0005
"""Step of the speeds that are tried: the last of a thousand lags moves by half a sample."""


@dataclass(frozen=True, slots=True)
class EchoMark:
    """The scheme.

    Attributes:
        strength: size of all echoes together, as a share of the sound.
        first: lag of the first echo, in samples.
        lags: how many echoes there are, one a sample.
        fastest: the reader tries lags from 1 − this to 1 + this times their own.
    """

    strength: float = 0.2
    first: int = 24
    lags: int = 1000
    fastest: float = 0.1

    def embed(self, wave: NDArray[Any], message: NDArray[Any], key: int) -> NDArray[np.float32]:
        """Return the marked recording (samples,)."""
        from scipy.signal import oaconvolve

        sound = np.asarray(wave, np.float64)
        pattern = KeyedPattern.of(key, self.lags, len(message))
        wanted = pattern.wanted(message)
        size = self.strength / np.sqrt(self.lags)
        echoes, marked = size * wanted, sound
        for _ in range(ROUNDS):
            kernel = np.concatenate([[1.0], np.zeros(self.first - 1), echoes])
            marked = oaconvolve(sound, kernel)[: len(sound)]
            # An echo is larger where the recording's own cepstrum says the opposite.
            lack = size * wanted - self.features(marked)
            echoes = np.clip(echoes + lack * (lack * wanted > 0), -2 * size, 2 * size)
            echoes *= self.strength / np.sqrt((echoes**2).sum())
        kernel = np.concatenate([[1.0], np.zeros(self.first - 1), echoes])
        return np.asarray(oaconvolve(sound, kernel)[: len(sound)], np.float32)

    def cepstrum(self, wave: NDArray[Any]) -> NDArray[np.float64]:
        """Return the cepstrum of a recording (samples,), up to the longest lag at any speed."""
        sound = np.asarray(wave, np.float64)
        longest = int((self.first + self.lags) * (1 + self.fastest)) + 2
        power = np.abs(np.fft.rfft(sound, max(len(sound), 4 * longest))) ** 2
        logs = np.log(power + FLOOR * power.mean() + 1e-20)
        return np.asarray(np.fft.irfft(logs)[:longest])

    def features(
        self,
        wave: NDArray[Any] | None = None,
        *,
        cepstrum: NDArray[Any] | None = None,
        slower: float = 1.0,
    ) -> NDArray[np.float64]:
        """Return the cepstrum at the lags of a speed, (lags,)."""
        values = self.cepstrum(wave) if cepstrum is None else cepstrum  # type: ignore[arg-type]
        at = (self.first + np.arange(self.lags)) * slower
        return np.asarray(np.interp(at, np.arange(len(values)), values))

    def readings(self, wave: NDArray[Any]) -> NDArray[np.float64]:
        """Return the cepstrum (speeds, lags) at the lags of each speed, the published one first."""
        cepstrum, steps = self.cepstrum(wave), round(self.fastest / COARSE)
        away = np.concatenate([np.arange(1, steps + 1), -np.arange(1, steps + 1)])
        speeds = 1 + COARSE * np.concatenate([[0], away])
        rows = np.stack([self.features(cepstrum=cepstrum, slower=s) for s in speeds])
        # A peak of the recording's own pitch counts no more than three usual ones.
        most = 3 * np.median(np.abs(rows)) / 0.6745
        return np.asarray(np.clip(rows, -most, most))

    def aligned(self, readings: NDArray[Any], signs: NDArray[Any]) -> Aligned:
        """Return what a keyed sum says at the best speed.

        Args:
            readings: of a recording, at all speeds.
            signs: (lags,) of the sum; 0 where a lag does not count.
        """
        scores = readings @ signs / (np.sqrt(readings**2 @ np.abs(signs)) + 1e-12)
        groups = []
        for share, some in zip(SHARES, np.split(np.arange(len(scores)), [1]), strict=True):
            groups.append((share, len(some), readings[some[int(np.argmax(scores[some]))]]))
        return best_aligned(groups, signs)

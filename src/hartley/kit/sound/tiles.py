"""Log energies of time-frequency tiles, on a grid that may be stretched and shifted.

A tile is a band of frequencies over a stretch of time. Tiles of a stretched recording are those of
the same grid with longer or shorter tiles, so one transform serves every stretch a detector tries:
the energies are summed up once, and a tile's is a difference of sums.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.audio import RATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

WINDOW, HOP = 512, 128
"""Samples of a window and from window to window."""

FLOOR = 3e-3
"""Share of the mean energy of a recording that is added to all: silence carries nothing."""

CLIP, STEADY = 12.0, 2.0
"""Decibels: most that a tile is above its neighbours, and what halves its weight."""


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid of tiles.

    Attributes:
        edges: of the bands in Hz, rising, one more than there are bands.
        seconds: duration of a tile.
    """

    edges: tuple[float, ...]
    seconds: float

    @property
    def bands(self) -> int:
        """How many bands there are."""
        return len(self.edges) - 1


def spectrum(wave: NDArray[Any]) -> NDArray[np.complex128]:
    """Return the short-time spectrum (windows, bins) of a recording (samples,) at ``RATE``."""
    padded = np.pad(np.asarray(wave, np.float64), (WINDOW // 2, WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP]
    return np.asarray(np.fft.rfft(frames * _hann(), axis=1))


def wave_of(windows: NDArray[Any], samples: int) -> NDArray[np.float64]:
    """Return the recording (samples,) whose short-time spectrum is nearest to the given one."""
    frames = np.fft.irfft(windows, WINDOW, axis=1) * _hann()
    total = np.zeros((len(frames) - 1) * HOP + WINDOW)
    weight = np.zeros_like(total)
    square = _hann() ** 2
    for index, frame in enumerate(frames):
        total[index * HOP : index * HOP + WINDOW] += frame
        weight[index * HOP : index * HOP + WINDOW] += square
    out = total / np.maximum(weight, 1e-8)
    return np.asarray(out[WINDOW // 2 : WINDOW // 2 + samples])


@dataclass(frozen=True, slots=True)
class Energies:
    """Energies of a recording, summed up over time and over frequency.

    Attributes:
        sums: (windows + 1, bins + 1) energy before a window and below a bin.
        windows: how many windows there are.
    """

    sums: NDArray[np.float64]
    windows: int

    @classmethod
    def of(cls, wave: NDArray[Any]) -> Energies:
        """Return those of a recording (samples,) at ``RATE``."""
        power = np.abs(spectrum(wave)) ** 2
        power = power[: max(1, len(wave) // HOP)]
        power += FLOOR * power.mean(0).mean() + 1e-20
        sums = np.zeros((power.shape[0] + 1, power.shape[1] + 1))
        sums[1:, 1:] = power.cumsum(0).cumsum(1)
        return cls(sums, len(power))

    def tiles(
        self, grid: Grid, *, slower: float = 1.0, lower: float = 1.0, shift: float = 0.0
    ) -> NDArray[np.float64]:
        """Return the log energies (tiles, bands) of whole tiles, in dB.

        Args:
            grid: the grid at speed 1.
            slower: how many times longer a tile lasts in this recording.
            lower: how many times lower its frequencies are.
            shift: where the first tile begins, in tiles.
        """
        size = grid.seconds * slower * RATE / HOP
        count = max(0, int((self.windows - shift * size) / size))
        times = (np.arange(count + 1) + shift) * size
        bins = np.minimum(np.asarray(grid.edges) / lower * WINDOW / RATE, self.sums.shape[1] - 1)
        rows = _between(self.sums, times)
        cells = _between(rows.T, bins).T
        energy = np.diff(np.diff(cells, axis=0), axis=1)
        width = np.maximum(np.diff(bins), 1e-9) * size
        return np.asarray(10 * np.log10(np.maximum(energy / width, 1e-20)))


def contrast(tiles: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how far each tile (count, bands) is above its neighbours, in dB, and weights in 0..1.

    What the neighbours in time and frequency suggest is taken out: a slow change of loudness, the
    colour of a room, an equaliser. Where the neighbours differ among themselves, as at an onset
    or among harmonics, a tile says little about a mark and has little weight.
    """
    if not tiles.size:
        return np.zeros_like(tiles), np.zeros_like(tiles)
    rest = tiles - _neighbours(tiles)
    rest = rest - _neighbours(rest.T).T
    rest = np.clip(rest - rest.mean(0), -CLIP, CLIP)
    square = rest**2
    around = (_neighbours(square) + _neighbours(square.T).T) / 2
    return rest, STEADY**2 / (STEADY**2 + around)


def _neighbours(rows: NDArray[Any]) -> NDArray[np.float64]:
    padded = np.pad(rows, ((1, 1), (0, 0)), mode="edge")
    return np.asarray((padded[:-2] + padded[2:]) / 2)


def _between(sums: NDArray[Any], at: NDArray[Any]) -> NDArray[np.float64]:
    """Return rows of cumulative sums at places that may lie between them."""
    low = np.minimum(at.astype(int), len(sums) - 1)
    high = np.minimum(low + 1, len(sums) - 1)
    part = (at - low)[:, None]
    return np.asarray(sums[low] * (1 - part) + sums[high] * part)


def _hann() -> NDArray[np.float64]:
    return np.asarray(np.hanning(WINDOW + 1)[:-1])

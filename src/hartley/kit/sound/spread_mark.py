"""A spread-spectrum mark of sound, in the log energies of time-frequency tiles.

Each tile is made louder or quieter by less than a few decibels, so the mark has the shape of the
signal and lies below it everywhere (Kirovski and Malvar, doi:10.1109/TSP.2003.809384). Signs come
from the key. A third of the tiles are pilots, which say that the mark is there and where its grid
begins; the others carry the bits of an error-correcting code. The pattern repeats, so that any
long enough cut of a recording can be read. The owner knows the recording, and moves tiles only as
far as its own content does not already say the right thing (Malvar and Florencio,
doi:10.1109/TSP.2003.809385).

The reader tries grids that are slower and faster, with frequencies that are lower and higher. Over
fresh keys the sum of the pilots, or of all tiles where the message is known, is a sum with random
signs, whose tail is exact (``infotheory.exact_tails``), times what the search costs. A quarter of
the false alarms goes to the grid as it was published, a quarter to those that begin elsewhere, and
half to all other speeds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.audio import RATE
from hartley.kit.sound.keyed_pattern import Aligned, KeyedPattern, best_aligned, log2_tail
from hartley.kit.sound.tiles import HOP, Energies, Grid, contrast, spectrum, wave_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHARES = (0.25, 0.25, 0.5)
"""Of the false alarms: at the published grid, at others of its speed, at other speeds."""

ROUNDS = 4
"""Times that the owner looks at what the tiles say and changes them."""

LOUDER, SURE = (1.0, 1.5, 2.0), -20.0
"""Times the strength that are tried in turn, until log2 of the tail of all tiles is so small."""

AIM = 1.5
"""What a symbol's tiles must say on average, in strengths: most tiles are changed in full."""


@dataclass(frozen=True, slots=True)
class SpreadMark:
    """The scheme.

    Attributes:
        strength: most that a tile is changed, in dB; up to twice as much in a recording of which
            so little carries sound that it would not be read else.
        period: tiles of time after which the pattern repeats.
        furthest: the reader tries tiles from 1 − this to 1 + this times as long.
        stretches: how many lengths it tries.
        phases: beginnings of the grid that it tries within a tile.
        grid: of the tiles.
    """

    strength: float = 2.0
    period: int = 16
    furthest: float = 0.1
    stretches: int = 21
    phases: int = 4
    grid: Grid = field(
        default_factory=lambda: Grid(tuple(np.linspace(250.0, 7000.0, 55)), seconds=0.048)
    )

    @property
    def size(self) -> int:
        """Tiles of one period."""
        return self.period * self.grid.bands

    def embed(self, wave: NDArray[Any], message: NDArray[Any], key: int) -> NDArray[np.float32]:
        """Return the marked recording (samples,)."""
        marked = np.asarray(wave, np.float32)
        if not len(Energies.of(marked).tiles(self.grid)):
            return marked
        pattern = KeyedPattern.of(key, self.size, len(message))
        wanted = pattern.wanted(message)
        for times in LOUDER:
            marked = self._changed(wave, wanted, pattern.symbols, times * self.strength)
            if log2_tail(self.folded(Energies.of(marked)).ravel(), wanted)[0] <= SURE:
                break
        return marked

    def _changed(
        self, wave: NDArray[Any], wanted: NDArray[Any], symbols: NDArray[Any], most: float
    ) -> NDArray[np.float32]:
        """Return a recording whose tiles say what is wanted, each moved by ``most`` dB or less."""
        marked = np.asarray(wave, np.float64)
        count = len(Energies.of(marked).tiles(self.grid))
        signs, symbols = self._repeated(wanted, count), self._repeated(symbols, count)
        windows = spectrum(marked)
        change = np.zeros(signs.shape)
        for _ in range(ROUNDS):
            rest, weight = contrast(Energies.of(marked).tiles(self.grid))
            spoke = np.bincount(symbols.ravel(), (rest * weight * signs).ravel())
            mean = spoke / np.maximum(np.bincount(symbols.ravel(), weight.ravel()), 1e-9)
            # Every symbol's tiles shall say it, whatever the recording itself would.
            lack = AIM * most - mean
            change = np.clip(change + signs * lack[symbols], -most, most)
            scaled = windows.copy()
            gain = self._gain(change, windows.shape[1])
            scaled[: len(gain)] *= 10 ** (gain / 20)
            marked = wave_of(scaled, len(wave))
        return np.asarray(marked, np.float32)

    def folded(
        self, energies: Energies, *, slower: float = 1.0, lower: float = 1.0, shift: float = 0.0
    ) -> NDArray[np.float64]:
        """Return contrasts (period, bands), summed over the repetitions of the pattern."""
        rest, weight = contrast(energies.tiles(self.grid, slower=slower, lower=lower, shift=shift))
        out = np.zeros((self.period, self.grid.bands))
        np.add.at(out, np.arange(len(rest)) % self.period, rest * weight)
        return out

    def readings(self, wave: NDArray[Any]) -> NDArray[np.float64]:
        """Return the contrasts (grids, period, bands) on each grid, the published one first."""
        energies = Energies.of(wave)
        return np.stack(
            [
                self.folded(energies, slower=slower, lower=lower, shift=phase / self.phases)
                for slower, lower in self._speeds()
                for phase in range(self.phases)
            ]
        )

    def aligned(self, readings: NDArray[Any], signs: NDArray[Any]) -> Aligned:
        """Return what a keyed sum says on the best grid.

        Args:
            readings: of a recording, on all grids.
            signs: (tiles of a period,) of the sum; 0 where a tile does not count.
        """
        pattern = signs.reshape(self.period, -1)
        turned = np.stack([np.roll(pattern, turn, axis=0) for turn in range(self.period)])
        flat, turns = readings.reshape(len(readings), -1), turned.reshape(self.period, -1)
        scores = flat @ turns.T / (np.sqrt(flat**2 @ np.abs(turns).T) + 1e-12)
        # Grids of the published speed come first, and of these the published one.
        places = np.arange(scores.size).reshape(scores.shape)
        groups = []
        for share, some in zip(
            SHARES, np.split(places.ravel(), [1, self.phases * self.period]), strict=True
        ):
            grid, turn = np.unravel_index(some[int(np.argmax(scores.ravel()[some]))], scores.shape)
            groups.append((share, len(some), np.roll(readings[grid], -int(turn), axis=0).ravel()))
        return best_aligned(groups, signs)

    def _speeds(self) -> list[tuple[float, float]]:
        """Pairs of how much slower and how much lower: of a stretch, and of another speed."""
        each = np.linspace(1 - self.furthest, 1 + self.furthest, self.stretches)
        others = [float(s) for s in each if abs(s - 1) > 1e-9]
        return [(1.0, 1.0), *((s, 1.0) for s in others), *((s, s) for s in others)]

    def _repeated(self, values: NDArray[Any], count: int) -> NDArray[Any]:
        """Return values of a period's tiles for ``count`` tiles of time, (count, bands)."""
        rows = values.reshape(self.period, -1)
        return np.tile(rows, (-(-count // self.period), 1))[:count]

    def _gain(self, change: NDArray[Any], bins: int) -> NDArray[np.float64]:
        """Return gains (windows, bins), in dB, that change tiles (count, bands) by so much."""
        size = self.grid.seconds * RATE / HOP
        tile = (np.arange(int(len(change) * size)) / size).astype(int)
        band = np.searchsorted(self.grid.edges, np.arange(bins) * RATE / 2 / (bins - 1), "right")
        inside = (band >= 1) & (band <= self.grid.bands)
        gain = np.zeros((len(tile), bins))
        gain[:, inside] = change[np.ix_(tile, band[inside] - 1)]
        return gain

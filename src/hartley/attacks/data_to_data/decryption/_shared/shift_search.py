"""Search for the repeated shifts of a Vigenère cipher, by how likely runs of four letters are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.ngram_model import SIZE, NgramModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ORDER = 4
"""Letters of the runs that shifts are judged by."""

PASSES = 6
"""Passes over the letters of the key; most searches end after three."""

LENGTHS = 3
"""Lengths of the key that are searched further, the likeliest ones."""


@dataclass(frozen=True)
class Text:
    """A text whose shifts are searched for: (n,) signs, which of them are prose, and a model."""

    units: NDArray[Any]
    natural: NDArray[Any]
    model: NgramModel

    @cached_property
    def prose(self) -> NDArray[Any]:
        """The places of the prose in the text."""
        return np.flatnonzero(self.natural)

    def score(self, keys: NDArray[Any]) -> NDArray[Any]:
        """Return the log-likelihood (k,) of the prose under keys (k, period)."""
        text, place = self.units[self.prose], self.prose % keys.shape[1]
        linked = np.diff(self.prose, prepend=-2) == 1
        plain = (text - keys[:, place]) % SIZE
        return self.model.score(plain, min(ORDER, max(1, len(text))), linked)

    def start(self, period: int) -> NDArray[Any]:
        """Return the key (period,) whose letters are likeliest each by itself."""
        counts = np.zeros((period, SIZE))
        np.add.at(counts, (self.prose % period, self.units[self.prose]), 1.0)
        shifts = np.arange(SIZE)
        one = self.model.logs[0]
        alone = np.stack([counts @ one[(shifts - shift) % SIZE] for shift in shifts], 1)
        start: NDArray[Any] = alone.argmax(1)
        return start

    def climbed(self, key: NDArray[Any]) -> tuple[NDArray[Any], float]:
        """Return a key after the best changes of single letters, and its score."""
        best = float(self.score(key[None])[0])
        for _ in range(PASSES):
            before = best
            for k in range(len(key)):
                keys = np.repeat(key[None], SIZE, 0)
                keys[:, k] = np.arange(SIZE)
                scores = self.score(keys)
                if scores.max() > best:
                    key, best = keys[int(scores.argmax())], float(scores.max())
            if best <= before:
                break
        return key, best


def _paid(end: tuple[NDArray[Any], float]) -> float:
    """Return the score of a key without the bits of the key itself."""
    return end[1] - len(end[0]) * math.log(SIZE)


def likeliest_key(text: Text, longest: int, kicks: int, rng: Rng) -> NDArray[Any]:
    """Return the key (period,) under which a text is likeliest, the key itself being paid for."""
    ends = [text.climbed(text.start(period)) for period in range(1, longest + 1)]
    ends = sorted(ends, key=_paid, reverse=True)[:LENGTHS]
    for place, first in enumerate(ends):
        best = first
        for _ in range(kicks):
            kicked = np.array(best[0])
            some = rng.random(len(kicked)) < max(0.2, 1 / len(kicked))
            kicked[some] = rng.integers(0, SIZE, int(some.sum()))
            best = max(best, text.climbed(kicked), key=_paid)
        ends[place] = best
    return max(ends, key=_paid)[0]

"""Search for the key of a simple substitution: many starts, then the best ones kicked and climbed.

Starting keys climb by pairs of letters, all at once, then by runs of four; the best of them are
*chains*, which are kicked (a few letters of the key change places) and climb again by runs of five,
as long as that makes the text likelier. The best readings climb once more by runs of six. Chains
that agree end the search: a long text is read at once, a short one is worth the whole budget.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import letter_model
from hartley.attacks.data_to_data.decryption._shared.ngram_model import SIZE, NgramModel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

FIRST, SECOND = np.triu_indices(SIZE, 1)

LONGEST = 800
"""Letters that a key is searched with: more would say the same more slowly."""

CLIMBED = 4000
"""Letters that starts climb with by runs of four, in all of them together."""

AGREED = 4
"""Chains with one reading that end the search."""

FINALISTS = 3


@dataclass(frozen=True, slots=True)
class Effort:
    """How long to search: starting keys, chains, and kicks of each chain."""

    restarts: int
    chains: int
    kicks: int


def solve(
    units: NDArray[Any], linked: NDArray[Any], model: NgramModel, effort: Effort, rng: Rng
) -> NDArray[Any]:
    """Return the key (26,): sign 0..25 → letter 0..25.

    Args:
        units: (n,) signs 0..25 of prose.
        linked: (n,) booleans, whether a letter continues the one before it in the message.
        model: of the language.
        effort: of the search.
        rng: draws starts and kicks.
    """
    units, linked = units[:LONGEST], linked[:LONGEST]
    counts = np.bincount(units, minlength=SIZE)
    joined = linked[1:]
    pairs = np.bincount(units[:-1][joined] * SIZE + units[1:][joined], minlength=SIZE**2)
    two = model.logs[1].reshape(SIZE, SIZE).astype(np.float64)
    keys = letter_model.climb_pairs(
        _starts(counts, model, effort.restarts, rng), pairs.reshape(SIZE, SIZE).astype(float), two
    )
    keys = np.unique(keys, axis=0)
    if len(units) < 2:
        return np.asarray(keys[0])
    search = _Search(units, linked, model)
    most = max(effort.chains, min(len(keys), CLIMBED // len(units)))
    keys, scores = search.climb(search.best(keys, search.score(keys, 4), most), 4)
    keys, scores = search.climb(search.best(keys, scores, effort.chains), 5)
    for _ in range(effort.kicks):
        if search.agreed(keys, scores):
            break
        kicked, new = search.climb(search.kicked(keys, rng), 5)
        better = new >= scores
        keys[better], scores[better] = kicked[better], new[better]
    finalists = search.best(keys, scores, FINALISTS, distinct=True)
    ends = [search.climb_long(key) for key in finalists]
    return max(ends, key=lambda end: end[1])[0]


@dataclass(frozen=True, slots=True)
class _Search:
    """The text whose key is searched for."""

    units: NDArray[Any]
    linked: NDArray[Any]
    model: NgramModel

    def score(self, keys: NDArray[Any], order: int) -> NDArray[Any]:
        """Return the log-likelihood (k,) of the text under keys (k, 26)."""
        return self.model.score(keys[:, self.units], order, self.linked)

    def best(
        self, keys: NDArray[Any], scores: NDArray[Any], most: int, *, distinct: bool = False
    ) -> NDArray[Any]:
        """Return the likeliest keys; of those with one reading the first, where asked for."""
        order = np.argsort(-scores, kind="stable")
        if distinct:
            _, first = np.unique(keys[order][:, self.units], axis=0, return_index=True)
            order = order[np.sort(first)]
        return np.array(keys[order[:most]])

    def agreed(self, keys: NDArray[Any], scores: NDArray[Any]) -> bool:
        """Whether several chains have the likeliest reading."""
        readings = keys[:, self.units]
        return int((readings == readings[scores.argmax()]).all(1).sum()) >= AGREED

    def swaps(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the swaps (s, 26) of two signs, one of which occurs, and the text after each."""
        here = np.isin(np.arange(SIZE), self.units)
        some = here[FIRST] | here[SECOND]
        a, b = FIRST[some], SECOND[some]
        swaps = np.tile(np.arange(SIZE), (len(a), 1))
        row = np.arange(len(a))
        swaps[row, a], swaps[row, b] = b, a
        return swaps, swaps[:, self.units]

    def climb(self, keys: NDArray[Any], order: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return keys (k, 26) after the best swaps, as long as the text gets likelier, with scores.

        All keys climb at once; one that cannot rise any more is left.
        """
        keys, scores = np.array(keys), self.score(keys, order)
        swaps, swapped = self.swaps()
        rising = np.arange(len(keys))
        while len(rising):
            after = self.model.score(keys[rising][:, swapped], order, self.linked)
            best = after.argmax(1)
            value = after[np.arange(len(rising)), best]
            up = value > scores[rising] + 1e-5 * np.abs(scores[rising])
            rising, best = rising[up], best[up]
            keys[rising] = np.take_along_axis(keys[rising], swaps[best], 1)
            scores[rising] = value[up]
        return keys, scores

    def climb_long(self, key: NDArray[Any]) -> tuple[NDArray[Any], float]:
        """Return a key (26,) after the best swaps by runs of six letters, and its score."""
        swaps, swapped = self.swaps()
        score = float(self.model.score_long(key[self.units][None], self.linked)[0])
        while True:
            near = np.argsort(-self.model.score(key[swapped], 5, self.linked), kind="stable")[:40]
            after = self.model.score_long(key[swapped[near]], self.linked)
            best = int(after.argmax())
            if after[best] <= score + 1e-9:
                return key, score
            key, score = key[swaps[near[best]]], float(after[best])

    def kicked(self, keys: NDArray[Any], rng: Rng) -> NDArray[Any]:
        """Return keys in which two to four signs of the text changed places with others."""
        here, keys = np.unique(self.units), np.array(keys)
        for key in keys:
            for _ in range(rng.integers(2, 5)):
                a, b = rng.choice(here), rng.integers(SIZE)
                key[a], key[b] = key[b], key[a]
        return keys


def _starts(counts: NDArray[Any], model: NgramModel, restarts: int, rng: Rng) -> NDArray[Any]:
    """Return starting keys (restarts, 26): by frequency, then with ranks perturbed at random."""
    rank = np.argsort(-counts, kind="stable")
    letters = np.argsort(-model.logs[0], kind="stable")
    keys = np.empty((restarts, SIZE), dtype=np.int64)
    keys[0, rank] = letters
    for r in range(1, restarts):
        order = np.argsort(np.arange(SIZE) + 6.0 * rng.standard_normal(SIZE), kind="stable")
        keys[r, rank] = letters[order]
    return keys

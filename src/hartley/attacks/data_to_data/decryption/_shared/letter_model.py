"""Letter statistics of a language, and a search for the substitution that makes a text fit them.

The first search scores pairs of letters (Jakobsen 1995, doi:10.1080/0161-119591883944): a few
products of 26 × 26 matrices give the score of every swap of two key letters, so that many restarts
climb at once. The second search scores triples and starts at the result of the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

SIZE = 26
FIRST, SECOND = np.triu_indices(SIZE, 1)


@dataclass(frozen=True, slots=True)
class Language:
    """Natural log-probabilities of one (26,), two (26, 26) and three (26, 26, 26) letters."""

    one: NDArray[Any]
    two: NDArray[Any]
    three: NDArray[Any]


def learn(text: NDArray[Any]) -> Language:
    """Count letters (n,) in 0..25; runs that do not occur are smoothed by shorter runs."""
    one = np.bincount(text, minlength=SIZE) + 0.5
    one = one / one.sum()
    two = np.bincount(text[:-1] * SIZE + text[1:], minlength=SIZE**2).reshape(SIZE, SIZE)
    pair = two + 5.0 * one
    pair = pair / pair.sum(1, keepdims=True)
    codes = (text[:-2] * SIZE + text[1:-1]) * SIZE + text[2:]
    three = np.bincount(codes, minlength=SIZE**3).reshape(SIZE, SIZE, SIZE) + 5.0 * pair
    triple = three / three.sum(2, keepdims=True)
    joint = one[:, None] * pair
    return Language(np.log(one), np.log(joint), np.log(joint[:, :, None] * triple))


def solve(
    units: NDArray[Any], natural: NDArray[Any], language: Language, rng: Rng, restarts: int
) -> NDArray[Any]:
    """Return the key (26,): unit 0..25 → letter 0..25.

    Args:
        units: (n,) ciphertext units 0..25.
        natural: (n,) booleans, where the text is prose; runs do not cross other text.
        language: letter statistics of prose.
        rng: draws the starting keys.
        restarts: number of starting keys; the first is by frequency alone.
    """
    counts = np.bincount(units[natural], minlength=SIZE)
    starts = _starts(counts, language, rng, restarts)
    linked = natural[:-1] & natural[1:]
    pairs = np.bincount(units[:-1][linked] * SIZE + units[1:][linked], minlength=SIZE**2)
    keys = climb_pairs(starts, pairs.reshape(SIZE, SIZE).astype(np.float64), language.two)
    linked = linked[:-1] & natural[2:]
    runs = np.stack([units[:-2][linked], units[1:-1][linked], units[2:][linked]])
    if not runs.shape[1]:
        first: NDArray[Any] = keys[0]
        return first
    keys = np.unique(keys, axis=0)
    order = np.argsort(-_triples(keys, runs, language.three))[:3]
    best = [climb_triples(keys[i], runs, language.three) for i in order]
    return max(best, key=lambda key_and_score: key_and_score[1])[0]


def fold(units: NDArray[Any]) -> NDArray[Any]:
    """Return a ciphertext (n,) over any alphabet as one over 26 signs.

    A ciphertext over 26 signs is returned unchanged. Otherwise signs are numbered by their
    frequency rank, modulo 26.
    """
    if len(units) == 0 or units.max() < SIZE:
        return np.asarray(units, dtype=np.int64)
    _, where, counts = np.unique(units, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts), dtype=np.int64)
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    out: NDArray[Any] = rank[where] % SIZE
    return out


def by_frequency(counts: NDArray[Any], language: Language) -> NDArray[Any]:
    """Return the key (26,) that maps the most frequent unit to the most frequent letter etc."""
    key = np.empty(SIZE, dtype=np.int64)
    key[np.argsort(-counts, kind="stable")] = np.argsort(-language.one, kind="stable")
    return key


def climb_pairs(
    keys: NDArray[Any], counts: NDArray[Any], two: NDArray[Any], most: int = 200
) -> NDArray[Any]:
    """Return keys (R, 26) after the best swaps of two letters, as long as the likelihood rises."""
    keys = keys.copy()
    rows = np.arange(len(keys))
    for _ in range(most):
        gain = pair_gains(keys, counts, two)
        best = gain.argmax(1)
        rising = gain[rows, best] > 1e-9
        if not rising.any():
            break
        a, b = FIRST[best[rising]], SECOND[best[rising]]
        r = rows[rising]
        keys[r, a], keys[r, b] = keys[r, b], keys[r, a]
    return keys


def pair_gains(keys: NDArray[Any], counts: NDArray[Any], two: NDArray[Any]) -> NDArray[Any]:
    """Return what each swap of two letters (R, 325) adds to Σ counts[a, b]·two[key a, key b]."""
    logs = two[keys[:, :, None], keys[:, None, :]]
    # Row and column sums over all partners, then corrections of the four cells of the swap.
    total = counts @ logs.transpose(0, 2, 1) + counts.T @ logs
    a, b = FIRST, SECOND
    gain = total[:, a, b] - total[:, a, a] - total[:, b, b] + total[:, b, a]
    saa, sbb, sab, sba = (logs[:, i, j] for i, j in ((a, a), (b, b), (a, b), (b, a)))
    caa, cbb, cab, cba = (counts[i, j] for i, j in ((a, a), (b, b), (a, b), (b, a)))
    gain -= (caa - cba) * (sba - saa) + (cab - cbb) * (sbb - sab)
    gain -= (caa - cab) * (sab - saa) + (cba - cbb) * (sbb - sba)
    gain += (caa - cbb) * (sbb - saa) + (cab - cba) * (sba - sab)
    out: NDArray[Any] = gain
    return out


def climb_triples(
    key: NDArray[Any], runs: NDArray[Any], three: NDArray[Any], most: int = 60
) -> tuple[NDArray[Any], float]:
    """Return a key (26,) after the best swaps by triples, and its score."""
    key, score = key.copy(), float(_triples(key[None], runs, three)[0])
    for _ in range(most):
        candidates = np.repeat(key[None], len(FIRST), 0)
        row = np.arange(len(FIRST))
        candidates[row, FIRST], candidates[row, SECOND] = key[SECOND], key[FIRST]
        scores = _triples(candidates, runs, three)
        best = int(scores.argmax())
        if scores[best] <= score + 1e-9:
            break
        key, score = candidates[best], float(scores[best])
    return key, score


def _triples(keys: NDArray[Any], runs: NDArray[Any], three: NDArray[Any]) -> NDArray[Any]:
    """Return the log-likelihood (K,) of runs of three units (3, n) under each key."""
    first, second, third = keys[:, runs[0]], keys[:, runs[1]], keys[:, runs[2]]
    out: NDArray[Any] = three.ravel()[(first * SIZE + second) * SIZE + third].sum(1)
    return out


def _starts(counts: NDArray[Any], language: Language, rng: Rng, restarts: int) -> NDArray[Any]:
    """Return starting keys (restarts, 26): by frequency, then with ranks perturbed at random."""
    rank = np.argsort(-counts, kind="stable")
    letters = np.argsort(-language.one, kind="stable")
    keys = np.empty((restarts, SIZE), dtype=np.int64)
    keys[0, rank] = letters
    for r in range(1, restarts):
        perturbed = np.argsort(np.arange(SIZE) + 4.0 * rng.standard_normal(SIZE), kind="stable")
        keys[r, rank] = letters[perturbed]
    return keys

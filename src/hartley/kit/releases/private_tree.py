"""Synthetic tables under zero-concentrated differential privacy: a tree of noisy marginals.

The mechanism of MST (arXiv:2108.04978): a third of the budget ρ measures every column by Gaussian
noise on its counts; a third chooses the d − 1 pairs of a spanning tree by the exponential
mechanism, where a pair's score is how far its counts are from those of independent columns; a third
measures these pairs. On a tree the fitted distribution is a product of conditionals, so that rows
are drawn without a graphical-model solver.

Two tables are neighbours that differ in one row (replacement; the number of rows is public). Counts
then move by √2 in the Euclidean norm, which costs 1/σ² of zCDP, and a pair's score moves by 2.
A choice by the exponential mechanism at ε costs ε²/8 (arXiv:1605.02065, arXiv:2004.07223).
"""

from __future__ import annotations

from itertools import combinations
from math import sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Floats = NDArray[np.float64]
    Codes = NDArray[np.int64]

SENSITIVITY = 2.0
"""By how much replacing a row moves the L1 distance between counts and a fixed table."""


def tree_rows(
    codes: Codes, sizes: tuple[int, ...], rho: float, rng: Rng, count: int
) -> tuple[Codes, tuple[tuple[int, int], ...]]:
    """Return rows drawn from a noisy tree of a table, and its pairs of columns.

    Args:
        codes: (n, d) values of each column, 0..K−1.
        sizes: K of each column.
        rho: of the ρ-zCDP guarantee for one row replaced by another; +inf: no noise.
        rng: draws the noise and the rows.
        count: rows to draw.
    """
    n, width = codes.shape
    noise = sqrt(3.0 * width / rho) if np.isfinite(rho) else 0.0
    single = [
        _noisy(np.bincount(codes[:, j], minlength=sizes[j]), noise, rng) for j in range(width)
    ]
    pairs = _tree(codes, sizes, [_shares(one) * n for one in single], rho, rng)
    noise = sqrt(3.0 * max(1, len(pairs)) / rho) if np.isfinite(rho) else 0.0
    joint = {(a, b): _noisy(_joint(codes, sizes, a, b), noise, rng) for a, b in pairs}
    out = np.empty((count, width), dtype=np.int64)
    out[:, 0] = rng.choice(sizes[0], count, p=_shares(single[0]))
    done = {0}
    while len(done) < width:
        a, b = next(pair for pair in pairs if len({*pair} & done) == 1)
        counts = joint[a, b]
        parent, child = (a, b) if a in done else (b, a)
        table = counts if parent == a else counts.T
        out[:, child] = _given(table, out[:, parent], single[child], rng)
        done.add(child)
    return out, tuple(pairs)


def _choice_epsilon(width: int, rho: float) -> float:
    """Return the ε of one of the d − 1 choices, which together cost ρ/3."""
    return sqrt(8.0 * rho / 3.0 / (width - 1))


def _tree(
    codes: Codes, sizes: tuple[int, ...], single: list[Floats], rho: float, rng: Rng
) -> list[tuple[int, int]]:
    """Choose the pairs of a spanning tree, one after another."""
    width, n = codes.shape[1], len(codes)
    if width < 2:
        return []
    scores = {
        (a, b): float(np.abs(_joint(codes, sizes, a, b) - np.outer(single[a], single[b]) / n).sum())
        for a, b in combinations(range(width), 2)
    }
    part = list(range(width))
    pairs: list[tuple[int, int]] = []
    while len(pairs) < width - 1:
        open_pairs = [pair for pair in scores if part[pair[0]] != part[pair[1]]]
        values = np.array([scores[pair] for pair in open_pairs])
        if np.isfinite(rho):
            # The largest of scores with Gumbel noise is a draw of the exponential mechanism.
            scale = 2.0 * SENSITIVITY / _choice_epsilon(width, rho)
            values = values + rng.gumbel(scale=scale, size=len(values))
        a, b = open_pairs[int(values.argmax())]
        pairs.append((a, b))
        part = [part[a] if one == part[b] else one for one in part]
    return pairs


def _joint(codes: Codes, sizes: tuple[int, ...], a: int, b: int) -> Floats:
    """Return the counts (K_a, K_b) of two columns."""
    flat = np.bincount(codes[:, a] * sizes[b] + codes[:, b], minlength=sizes[a] * sizes[b])
    return flat.reshape(sizes[a], sizes[b]).astype(np.float64)


def _noisy(counts: NDArray[np.generic], noise: float, rng: Rng) -> Floats:
    return np.asarray(counts, np.float64) + noise * rng.standard_normal(counts.shape)


def _shares(counts: Floats) -> Floats:
    """Return noisy counts as probabilities; all the same where none is above 0."""
    positive = np.maximum(counts, 0.0)
    total = positive.sum()
    return positive / total if total > 0 else np.full(len(counts), 1.0 / len(counts))


def _given(counts: Floats, parents: Codes, single: Floats, rng: Rng) -> Codes:
    """Draw a child (m,) for each parent (m,) from counts (K_parent, K_child)."""
    ends = np.stack(
        [np.cumsum(_shares(row) if (row > 0).any() else _shares(single)) for row in counts]
    )
    drawn = (rng.random(len(parents))[:, None] > ends[parents]).sum(1)
    out: Codes = np.minimum(drawn, counts.shape[1] - 1)
    return out

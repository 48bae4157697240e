"""Local differential privacy of a row: every cell passes randomised response by itself.

A cell of K values keeps its own with probability e^ε′ / (e^ε′ + K − 1) and takes each other one
with probability 1 / (e^ε′ + K − 1) (arXiv:1407.1338 for the optimum at small K). The d cells of a
row share ε equally, so that the row is ε-DP for anyone who collects it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.releases.public_bins import PublicBins

    Floats = NDArray[np.float64]


def kept_rate(epsilon: float, size: int) -> float:
    """Return the probability that a cell of ``size`` values keeps its own."""
    return float(1.0 / (1.0 + (size - 1) * np.exp(-epsilon)))


def randomised(table: Floats, bins: PublicBins, epsilon: float, rng: Rng) -> Floats:
    """Return a table (n, d) of randomised cells; a number is placed at random within its bin.

    Args:
        table: (n, d).
        bins: the domain of each column.
        epsilon: of a whole row.
        rng: draws the noise.
    """
    codes = bins.codes(table)
    each = epsilon / table.shape[1]
    out: NDArray[np.int64] = codes.copy()
    for j, size in enumerate(bins.sizes):
        if size < 2:
            continue
        other = rng.random(len(table)) >= kept_rate(each, size)
        step = rng.integers(1, size, len(table))
        out[:, j] = np.where(other, (codes[:, j] + step) % size, codes[:, j])
    return bins.values(out, rng)

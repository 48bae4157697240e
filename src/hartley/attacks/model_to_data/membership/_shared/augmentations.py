"""Variants of a record to query: shifted or mirrored pictures, and records with noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOVES = tuple(
    sorted(
        ((a, b) for a in range(-2, 3) for b in range(-2, 3)),
        key=lambda m: (m[0] ** 2 + m[1] ** 2, m),
    )
)
"""Shifts (down, right) of a picture by up to two pixels, the smallest first; the first is 0."""


def pictures(x: NDArray[Any], count: int) -> NDArray[Any]:
    """Return ``count`` variants (count, n, c, h, w) of pictures (n, c, h, w), the original first.

    They are shifts by up to two pixels (the edge is repeated), then the same mirrored: at most 50.
    """
    variants = []
    for k in range(count):
        mirrored = x[..., ::-1] if k >= len(MOVES) else x
        down, right = MOVES[k % len(MOVES)]
        high, wide = x.shape[-2:]
        rows = np.clip(np.arange(high) - down, 0, high - 1)
        columns = np.clip(np.arange(wide) - right, 0, wide - 1)
        variants.append(mirrored[..., rows, :][..., columns])
    return np.stack(variants)


def noisy(x: NDArray[Any], sigmas: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Return variants (len(sigmas), n, …) of real-valued records with Gaussian noise."""
    noise = rng.standard_normal((len(sigmas), *x.shape), dtype=np.float32)
    noise *= np.asarray(sigmas, np.float32).reshape(-1, *(1,) * x.ndim)
    noise += x
    return noise

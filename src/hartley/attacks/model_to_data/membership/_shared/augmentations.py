"""Ways to ask about a record again: the picture moved or mirrored, the numbers shaken."""

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
"""Shifts of a picture by up to two pixels, the smallest first; the first one is none at all."""


def pictures(x: NDArray[Any], count: int) -> NDArray[Any]:
    """Return ``count`` versions (count, n, c, h, w) of pictures (n, c, h, w), themselves first.

    Shifts by up to two pixels (the edge is repeated), then the same mirrored: at most 50.
    """
    made = []
    for k in range(count):
        turned = x[..., ::-1] if k >= len(MOVES) else x
        down, right = MOVES[k % len(MOVES)]
        high, wide = x.shape[-2:]
        rows = np.clip(np.arange(high) - down, 0, high - 1)
        columns = np.clip(np.arange(wide) - right, 0, wide - 1)
        made.append(turned[..., rows, :][..., columns])
    return np.stack(made)


def shaken(x: NDArray[Any], sigmas: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    """Return versions (len(sigmas), n, …) of real-valued records under Gaussian noise."""
    noise = rng.standard_normal((len(sigmas), *x.shape), dtype=np.float32)
    noise *= np.asarray(sigmas, np.float32).reshape(-1, *(1,) * x.ndim)
    noise += x
    return noise

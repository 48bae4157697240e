"""Pictures without a source: discs that cover each other, as leaves on the ground.

Such pictures share with photographs their edges and the power law of their spectra, and networks
that learn from them work on photographs (arXiv:2106.05963). Nobody's photograph is among the
examples, so that one that a network is tried on was never seen in its training.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LEAST, MOST = 2.0, 120.0
"""Radii of the discs in pixels: the density falls with the cube, so that any zoom looks alike."""


def dead_leaves(count: int, side: int, rng: Rng, *, leaves: int = 700) -> NDArray[np.float32]:
    """Return pictures (count, 3, side, side) in 0..1.

    Args:
        count: how many.
        side: pixels.
        rng: draws the discs, their colours and their texture.
        leaves: discs in a picture.
    """
    out = np.empty((count, 3, side, side), np.float32)
    rows, columns = np.mgrid[:side, :side].astype(np.float32)
    for picture in out:
        picture[:] = rng.random((3, 1, 1))
        grain = _grain(side, rng)
        centre = rng.random(3)
        radii = 1 / np.sqrt(rng.uniform(MOST**-2, LEAST**-2, leaves))
        # Large ones lie below, so that small ones are seen at all.
        for radius in np.sort(radii)[::-1]:
            x, y = rng.random(2) * side
            top, bottom = max(0, int(y - radius)), min(side, int(y + radius) + 2)
            left, right = max(0, int(x - radius)), min(side, int(x + radius) + 2)
            box = np.s_[top:bottom, left:right]
            away = np.hypot(rows[box] - y, columns[box] - x)
            cover = np.clip(radius - away + 0.5, 0, 1)
            light = rng.normal(0, 0.25) + rng.normal(0, 0.15, 3) + centre
            texture = rng.exponential(0.06) * np.roll(grain, rng.integers(side, size=2), (0, 1))
            leaf = light[:, None, None] + texture[box]
            picture[:, *box] += cover * (leaf - picture[:, *box])
    return np.clip(out, 0, 1)


def _grain(side: int, rng: Rng) -> NDArray[Any]:
    """Return noise (side, side) of deviation 1 whose power falls with the frequency."""
    radius = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    spectrum = np.fft.rfft2(rng.standard_normal((side, side)))
    noise = np.fft.irfft2(spectrum / np.maximum(radius, 1 / side), s=(side, side))
    return np.asarray(noise / noise.std())

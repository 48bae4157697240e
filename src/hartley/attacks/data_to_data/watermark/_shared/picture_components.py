"""Principal components of 8 × 8 colour patches as a linear autoencoder, and its denoiser.

The denoiser is the positive-part James–Stein rule on every component.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.vision import patches

if TYPE_CHECKING:
    from numpy.typing import NDArray


def denoise(noisy: NDArray[Any], level: float, shrinkage: float) -> NDArray[Any]:
    """Return the noisy code after the positive-part James–Stein rule on every component."""
    power = np.maximum(noisy * noisy, np.float32(1e-12))
    factor = np.maximum(np.float32(0), 1 - np.float32(shrinkage * level**2) / power)
    out: NDArray[Any] = noisy * factor
    return out


def largest_level(code: NDArray[Any], noise: NDArray[Any], shrinkage: float, floor: float) -> float:
    """Return the largest noise level (by 8 bisections) whose error respects the floor."""
    allowed, low, high = 10 ** (-floor / 10), 0.0, 0.25
    for _ in range(8):
        level = (low + high) / 2
        gap = denoise(code + np.float32(level) * noise, level, shrinkage) - code
        low, high = (level, high) if float(np.mean(gap * gap)) <= allowed else (low, level)
    return low


def autoencoder(photos: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return principal directions (192, 192) and the mean (192,) of patches of photographs."""
    rows = np.concatenate([patches.grid(photo.astype(np.float32)) for photo in photos])
    rows = rows[:: max(1, len(rows) // 2048)]
    centred = rows - (centre := rows.mean(0))
    _, basis = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    return basis.astype(np.float32), centre

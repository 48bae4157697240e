"""Cut a cloud of records into regions: k-means, small and without a library to load."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def flat(x: NDArray[Any]) -> NDArray[np.float64]:
    """Records (n, …) as rows of numbers (n, d)."""
    return np.asarray(x, dtype=np.float64).reshape(len(x), prod(x.shape[1:]))


def distances(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Squared distances (n, m) between rows of ``a`` (n, d) and of ``b`` (m, d)."""
    square = (a * a).sum(1)[:, None] + (b * b).sum(1)[None] - 2 * (a @ b.T)
    out: NDArray[np.float64] = np.maximum(square, 0)
    return out


def split(
    x: NDArray[Any], regions: int, rng: np.random.Generator, *, sweeps: int = 25
) -> NDArray[np.int64]:
    """Return the region (n,) of every record, 0..regions−1, none of them empty.

    Args:
        x: (n, …) records, n ≥ regions.
        regions: how many regions.
        rng: picks the first centre; the others start as far from all before as can be.
        sweeps: Lloyd iterations at most.

    Raises:
        ValueError: fewer records than regions.
    """
    rows = flat(x)
    if len(rows) < regions:
        raise ValueError(f"regions must be at most the {len(rows)} records, got {regions}")
    centre_rows = [int(rng.integers(len(rows)))]
    away = distances(rows, rows[centre_rows]).min(1)
    while len(centre_rows) < regions:
        centre_rows.append(int(away.argmax()))
        away = np.minimum(away, distances(rows, rows[centre_rows[-1:]])[:, 0])
    centres = rows[centre_rows]
    place = distances(rows, centres).argmin(1)
    for _ in range(sweeps):
        counts = np.bincount(place, minlength=regions)
        if (counts == 0).any():
            break
        centres = np.stack([rows[place == r].mean(0) for r in range(regions)])
        moved = distances(rows, centres).argmin(1)
        if np.array_equal(moved, place) or (np.bincount(moved, minlength=regions) == 0).any():
            break
        place = moved
    out: NDArray[np.int64] = place.astype(np.int64)
    return out

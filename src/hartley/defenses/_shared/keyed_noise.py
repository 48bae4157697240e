"""Pseudo-random numbers that depend on a secret key and a record, the same at every query."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.keyed_hash import GOLDEN, mixed

if TYPE_CHECKING:
    from numpy.typing import NDArray

GRAIN = 2
"""Decimals to which records are rounded first: records that differ by less share their numbers."""


def uniform(x: NDArray[Any], shape: tuple[int, ...], key: int) -> NDArray[np.float64]:
    """Return numbers in (0, 1), which depend on the key and on each record alone.

    Args:
        x: (n, …) records.
        shape: (n, …) of the result.
        key: the owner's secret key.
    """
    rows = np.ascontiguousarray(np.asarray(x)).reshape(len(x), -1)
    if rows.dtype.kind == "f":
        rows = np.round(rows.astype(np.float64), GRAIN) + 0.0  # −0 and 0 are the same record
    words = np.ascontiguousarray(rows.astype(np.float64)).view(np.uint64)
    weights = np.random.default_rng(key).integers(
        0, 2**63, words.shape[1], dtype=np.uint64
    ) * np.uint64(2) + np.uint64(1)
    state = mixed(words * weights).sum(1, dtype=np.uint64)
    columns = int(np.prod(shape[1:]))
    step = np.arange(1, columns + 1, dtype=np.uint64) * GOLDEN
    bits = mixed(mixed(state)[:, None] + step) >> np.uint64(11)
    return ((bits.astype(np.float64) + 0.5) / 2**53).reshape(shape)

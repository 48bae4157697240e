"""Pseudo-random numbers that depend on a secret key and a record, the same at every query."""

from __future__ import annotations

from hashlib import blake2b
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
        x: (n, …) records; of texts, and of items whose shapes differ, (n,).
        shape: (n, …) of the result.
        key: the owner's secret key.
    """
    rows = np.asarray(x)
    if rows.dtype.kind in "OU":
        words = np.stack([_digest(one) for one in rows])
    else:
        numbers = _rounded(np.ascontiguousarray(rows).reshape(len(x), -1))
        words = np.ascontiguousarray(numbers).view(np.uint64)
    weights = np.random.default_rng(key).integers(
        0, 2**63, words.shape[1], dtype=np.uint64
    ) * np.uint64(2) + np.uint64(1)
    state = mixed(words * weights).sum(1, dtype=np.uint64)
    columns = int(np.prod(shape[1:]))
    step = np.arange(1, columns + 1, dtype=np.uint64) * GOLDEN
    bits = mixed(mixed(state)[:, None] + step) >> np.uint64(11)
    return ((bits.astype(np.float64) + 0.5) / 2**53).reshape(shape)


def _rounded(rows: NDArray[Any]) -> NDArray[np.float64]:
    if rows.dtype.kind == "f":
        rows = np.round(rows.astype(np.float64), GRAIN) + 0.0  # −0 and 0 are the same record
    return rows.astype(np.float64)


def _digest(record: Any) -> NDArray[np.uint64]:
    """Return (2,) words that stand for a text, or for numbers of any shape."""
    content = record.encode() if isinstance(record, str) else _rounded(np.asarray(record)).tobytes()
    return np.frombuffer(blake2b(content, digest_size=16).digest(), np.uint64)

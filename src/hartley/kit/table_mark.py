"""A mark of tables: each number is moved to one half of a fine cell, which the key chooses.

The range of a column is cut into cells (the green list of intervals of arXiv:2405.14018, in pairs).
The key says which bit of the message a pair of cells carries, and which of the two cells means
1. The order of rows does not matter, and neither does how many there are. In a pair that
nobody marked this is a fair coin, whatever the numbers are: every pair is one trial of the test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality, spawn
from hartley.kit.keyed_hash import GOLDEN, mixed
from hartley.kit.marker import Marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LEAST_ROWS = 8


def green_cells(width: float = 0.02, columns: int = 0, bits: int = 32) -> Marker:
    """Mark the numbers of a table (rows, columns).

    Args:
        width: of a cell, in the units of the columns (deviations, where they are standardised).
        columns: how many columns are marked, from the first on; 0: all but the last, the label.
        bits: usual length of the message.
    """

    def cut(table: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(table, np.float64)[:, : columns or table.shape[1] - 1]

    def sides(pair: NDArray[Any], m: int, key: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """The bit that each pair of cells (rows, columns) says, and which half says 1."""
        numbers = _drawn(key, pair)
        return (numbers >> 1) % m, numbers & 1

    def embed(table: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        values = cut(table)
        cell = np.floor(values / width).astype(np.int64)
        pair = cell >> 1
        bit, half = sides(pair, len(bits), key)
        wanted = bits[bit] ^ half
        wrong = (cell & 1) != wanted
        moved = (2 * pair + wanted + rng.random(values.shape)) * width
        out = np.array(table, dtype=np.float64)
        out[:, : values.shape[1]] = np.where(wrong, moved, values)
        return out

    def soft(table: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        values = cut(table)
        if len(values) < LEAST_ROWS:
            return np.full(m, np.nan)
        cell = np.floor(values / width).astype(np.int64)
        pair = cell >> 1
        bit, half = sides(pair, m, key)
        says_one = np.where(((cell & 1) ^ half) == 1, 1.0, -1.0)
        total = np.zeros(m)
        for column in range(values.shape[1]):
            # A pair of cells is one coin of the key: its rows are summed before they count.
            names, first, place = np.unique(pair[:, column], return_index=True, return_inverse=True)
            votes = np.bincount(place, says_one[:, column], len(names))
            total += np.bincount(bit[first, column], np.sign(votes) * np.sqrt(np.abs(votes)), m)
        return np.where(total == 0, np.nan, total)

    return Marker(
        "green_cells",
        embed,
        soft,
        (("width", width),),
        fits=lambda table, m: table.ndim == 2 and table.shape[1] > 1 and m <= table.size,
        modality=Modality.TABULAR,
        bits=bits,
    )


def _drawn(key: int, pair: NDArray[Any]) -> NDArray[np.int64]:
    """Return 31 random bits for each pair of cells of each column, always the same of one key."""
    seeds = [spawn(key, "cells", str(column)) & (2**64 - 1) for column in range(pair.shape[1])]
    with np.errstate(over="ignore"):
        state = pair.astype(np.int64).view(np.uint64) * GOLDEN + np.array(seeds, dtype=np.uint64)
    return (mixed(state) >> np.uint64(33)).astype(np.int64)

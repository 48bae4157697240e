"""Tables of numbers and categories: their columns, and nearest rows by Gower's distance.

A table is (n, d) floats. A categorical column holds the number of its value, 0..K−1. The distance
of two rows is the sum over columns of |a − b| / range for numbers and of 1 for categories that
differ (Gower 1971, doi:10.2307/2528823). The range is that of both tables together, as in
anonymeter (arXiv:2211.10459).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

BLOCK = 1 << 19
"""Distances that are held at a time: 4 MiB stay in the cache of a core."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """One column of a table.

    Attributes:
        name: as in the file.
        values: number of different values of a category; 0: a number.
        titles: the values in words, or empty.
    """

    name: str
    values: int = 0
    titles: tuple[str, ...] = ()


def numbers_of(columns: Sequence[TableColumn]) -> NDArray[np.bool_]:
    """Return which columns (d,) are numbers."""
    return np.array([column.values == 0 for column in columns], dtype=bool)


@dataclass(frozen=True, slots=True)
class GowerTable:
    """Rows that neighbours are looked for in, and the ranges of their numbers.

    Attributes:
        numbers: (n, a) numbers, divided by the ranges.
        words: (n, b) categories.
        ranges: (a,) of the numbers; a column of one value has range 1.
        is_number: (d,) which columns are numbers.
    """

    numbers: Floats
    words: Floats
    ranges: Floats
    is_number: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Floats, others: Floats, is_number: NDArray[np.bool_]) -> GowerTable:
        """Prepare rows (n, d) for queries among ``others`` (m, d), which share the ranges."""
        numbers = np.asarray(rows, np.float64)[:, is_number]
        both = [numbers, np.asarray(others, np.float64)[:, is_number]]
        parts = [part for part in both if len(part)]
        low, high = (
            np.min([p.min(0) for p in parts], 0) if parts else np.zeros(numbers.shape[1]),
            np.max([p.max(0) for p in parts], 0) if parts else np.zeros(numbers.shape[1]),
        )
        ranges = np.where(high > low, high - low, 1.0)
        words = np.ascontiguousarray(np.asarray(rows, np.float64)[:, ~is_number])
        return cls(np.ascontiguousarray(numbers / ranges), words, ranges, is_number)

    def distances(self, queries: Floats) -> Floats:
        """Return the distances (m, n) of queries (m, d) to all rows."""
        from scipy.spatial.distance import cdist

        queries = np.asarray(queries, np.float64)
        numbers = queries[:, self.is_number] / self.ranges
        if numbers.shape[1]:
            out = np.asarray(cdist(numbers, self.numbers, "cityblock"))
        else:
            out = np.zeros((len(queries), len(self.words)))
        words = queries[:, ~self.is_number]
        for j in range(words.shape[1]):
            out += words[:, j, None] != self.words[None, :, j]
        return out

    def nearest(self, queries: Floats, k: int = 1) -> tuple[NDArray[np.int64], Floats]:
        """Return the k nearest rows of each query, nearest first, and their distances: (m, k) each.

        Of rows at the same distance the first comes first.

        Args:
            queries: (m, d).
            k: how many, at most the number of rows.
        """
        n = len(self.words)
        k = min(k, n)
        indices = np.empty((len(queries), k), dtype=np.int64)
        near = np.empty((len(queries), k))
        step = max(1, BLOCK // max(n, 1))
        for at in range(0, len(queries), step):
            block = self.distances(queries[at : at + step])
            first = block.argmin(1)[:, None] if k == 1 else _smallest(block, k)
            indices[at : at + step] = first
            near[at : at + step] = np.take_along_axis(block, first, 1)
        return indices, near

    def log_density(self, queries: Floats, width: float) -> Floats:
        """Return the log of the mean kernel exp(−distance / width) over all rows, (m,) each query.

        Args:
            queries: (m, d).
            width: of the kernel, in units of distance.
        """
        out = np.empty(len(queries))
        step = max(1, BLOCK // max(len(self.words), 1))
        for at in range(0, len(queries), step):
            far = self.distances(queries[at : at + step])
            nearest = far.min(1, keepdims=True)
            # The nearest row is taken out, so that no kernel is too narrow for the floats.
            kernel = np.exp((nearest - far) / width).mean(1)
            out[at : at + step] = np.log(kernel) - nearest[:, 0] / width
        return out


def _smallest(block: Floats, k: int) -> NDArray[np.int64]:
    """Return the places (m, k) of the k smallest numbers of each row; ties in their order."""
    bound = np.partition(block, k - 1, axis=1)[:, k - 1]
    out = np.empty((len(block), k), dtype=np.int64)
    for i, row in enumerate(block):
        within = np.flatnonzero(row <= bound[i])
        out[i] = within[np.argsort(row[within], kind="stable")[:k]]
    return out


def gower_nearest(
    queries: Floats, rows: Floats, columns: Sequence[TableColumn], k: int = 1
) -> tuple[NDArray[np.int64], Floats]:
    """Return the k nearest of rows (n, d) to each query (m, d): places and distances, (m, k) each.

    Args:
        queries: whose neighbours are looked for.
        rows: among which.
        columns: of both tables.
        k: how many.
    """
    return GowerTable.of(rows, queries, numbers_of(columns)).nearest(queries, k)


def distinct(rows: NDArray[Any]) -> NDArray[np.int64]:
    """Return the first place of each different row of a table (n, d), in order."""
    _, first = np.unique(np.asarray(rows), axis=0, return_index=True)
    return np.sort(first)

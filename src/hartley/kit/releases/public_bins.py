"""Bins that anybody could draw: values of a table as whole numbers, without looking at the table.

A private mechanism needs a domain that does not depend on the owner's records. It is drawn from
public records of the same kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.mixed_tables import TableColumn

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PublicBins:
    """The domain of each column.

    Attributes:
        edges: (b + 1,) of a number's bins; None for a category.
        sizes: number of bins or categories of each column.
        whole: whether numbers are whole.
    """

    edges: tuple[Floats | None, ...]
    sizes: tuple[int, ...]
    whole: tuple[bool, ...]

    @classmethod
    def of(cls, public: Floats, columns: Sequence[TableColumn], bins: int) -> PublicBins:
        """Draw them from public records (n, d): quantiles of numbers, all values of categories."""
        edges: list[Floats | None] = []
        sizes, whole = [], []
        for j, column in enumerate(columns):
            values = public[:, j]
            if column.values:
                edges.append(None)
                sizes.append(column.values)
                whole.append(True)
                continue
            cuts = np.quantile(values, np.linspace(0, 1, bins + 1))
            whole.append(bool((values == np.rint(values)).all()))
            if whole[-1]:
                # Whole ends, and the largest number within the last bin.
                cuts = np.ceil(cuts)
                cuts[-1] += 1
            cuts = np.unique(cuts)
            if len(cuts) < 2:
                cuts = np.array([cuts[0] - 0.5, cuts[0] + 0.5])
            edges.append(cuts)
            sizes.append(len(cuts) - 1)
        return cls(tuple(edges), tuple(sizes), tuple(whole))

    def codes(self, table: Floats) -> NDArray[np.int64]:
        """Return the bin or category (n, d) of each value; what is outside is in the last bin."""
        out = np.empty(table.shape, dtype=np.int64)
        for j, (edges, size) in enumerate(zip(self.edges, self.sizes, strict=True)):
            values = table[:, j]
            place = values if edges is None else np.searchsorted(edges, values, "right") - 1
            out[:, j] = np.clip(place, 0, size - 1)
        return out

    def values(self, codes: NDArray[np.int64], rng: Rng) -> Floats:
        """Return a value (m, d) in each bin, at random within it."""
        out = np.empty(codes.shape)
        for j, (edges, whole) in enumerate(zip(self.edges, self.whole, strict=True)):
            place = codes[:, j]
            if edges is None:
                out[:, j] = place
                continue
            width = edges[place + 1] - edges[place]
            values = edges[place] + width * rng.random(len(codes))
            out[:, j] = np.floor(values) if whole else values
        return out

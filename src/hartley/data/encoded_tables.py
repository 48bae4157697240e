"""A user's table for a net of Hartley's own: numbers standardised, words as columns of 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.data.user_tables import FLAG, WORD, TableForm

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FAR = 4.0
"""Standardised numbers are cut here: one that is far out must not decide alone."""
MOST = 30
"""Words of a column that have a column of their own: the most frequent; the others share one."""


@dataclass(frozen=True, slots=True)
class TableEncoder:
    """How records of a ``TableForm`` are written for a net.

    Attributes:
        places: of each column of numbers, where it is in a record.
        means, spreads: of these.
        words: of each column of words, where it is, and the values that have a column.
        flags: places of what is 0 or 1 already.
    """

    places: tuple[int, ...]
    means: tuple[float, ...]
    spreads: tuple[float, ...]
    words: tuple[tuple[int, tuple[int, ...]], ...]
    flags: tuple[int, ...]

    @classmethod
    def of(cls, form: TableForm, x: Floats) -> TableEncoder:
        """Return the encoder of a table.

        Args:
            form: of the records.
            x: (n, numbers), records that say what is usual.
        """
        places: list[int] = []
        flags: list[int] = []
        words: list[tuple[int, tuple[int, ...]]] = []
        place = 0
        for field in form.fields:
            if field.kind == WORD:
                values, counts = np.unique(x[:, place], return_counts=True)
                most = values[np.argsort(-counts, kind="stable")][:MOST]
                words.append((place, tuple(sorted(int(value) for value in most))))
            else:
                (flags if field.kind == FLAG else places).append(place)
            if field.width > 1:
                flags.append(place + 1)  # whether the value is missing
            place += field.width
        columns = x[:, places]
        return cls(
            tuple(places),
            tuple(columns.mean(0).tolist()),
            tuple(np.maximum(columns.std(0), 1e-9).tolist()),
            tuple(words),
            tuple(flags),
        )

    @classmethod
    def of_numbers(cls, x: Floats) -> TableEncoder:
        """Return the encoder of an array (n, numbers) whose columns are all numbers."""
        means, spreads = x.mean(0), np.maximum(x.std(0), 1e-9)
        return cls(tuple(range(x.shape[1])), tuple(means.tolist()), tuple(spreads.tolist()), (), ())

    def __call__(self, x: Floats) -> NDArray[np.float32]:
        """Return records (n, d) of records (n, numbers)."""
        numbers = (x[:, list(self.places)] - np.array(self.means)) / np.array(self.spreads)
        parts = [np.clip(numbers, -FAR, FAR), x[:, list(self.flags)]]
        for place, values in self.words:
            same = x[:, place, None] == np.array(values)
            parts.append(np.concatenate([same, ~same.any(1, keepdims=True)], 1))
        return np.concatenate(parts, 1).astype(np.float32)

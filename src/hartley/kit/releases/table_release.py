"""How an owner publishes a table, and what of it an attacker knows of a person beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.kit.mixed_tables import TableColumn

    Floats = NDArray[np.float64]
    Publish = Callable[[Floats, Rng], Floats]


@dataclass(frozen=True, slots=True, eq=False)
class TableRelease:
    """How a table is published.

    Attributes:
        name: of the way, in reports.
        columns: of the table and of what is published.
        publish: (table (n, d), rng) → what is published, (m, d).
        collect: (table (n, d), rng) → what the owner holds of the people, (n, d): another row for
            each where they randomise their own records.
        rows: whether the k-th published row is that of the k-th person; its order is shuffled
            before anyone sees it.
        known: the columns that an attacker knows of a person (quasi-identifiers).
        halves: the two sets of columns that linkability connects.
        known_way: the way of publishing before any defense, which attackers know as well; None
            where they do not.
    """

    name: str
    columns: tuple[TableColumn, ...]
    publish: Publish
    rows: bool
    known: tuple[int, ...]
    halves: tuple[tuple[int, ...], tuple[int, ...]]
    known_way: Publish | None = None
    collect: Publish | None = None

    def released(self, table: Floats, rng: Rng) -> Floats:
        """Return what is published of a table (n, d): (m, d)."""
        collected = table if self.collect is None else self.collect(table, rng)
        return as_floats(self.publish(collected, rng))


@dataclass(frozen=True, slots=True, eq=False)
class RowOwners:
    """Whose the rows of a release are.

    Attributes:
        places: of a table that is published already, the row (n,) of each person in it, −1 for
            none; None where the auditor publishes it and knows.
    """

    places: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RowClusters:
    """Which rows belong together (a person's, a household's), of a table that is published already.

    Attributes:
        people: (n,) the cluster of each row of the table, from 0.
        control: (m,) the same of the control.
    """

    people: NDArray[np.int64]
    control: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SecretColumn:
    """The column that an attacker infers of a person.

    Attributes:
        place: of it in the table; it is a category.
    """

    place: int


def pseudonymised(table: Floats, rng: Rng) -> Floats:
    """Publish the rows as they are: names were never among the columns."""
    del rng
    return table.copy()


def halves_of(columns: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return columns in two sets, dealt in turn."""
    return columns[::2], columns[1::2]


def as_floats(x: Any) -> Floats:
    """Return records (n, d) as 64-bit floats in rows."""
    return np.ascontiguousarray(np.asarray(x, dtype=np.float64).reshape(len(x), -1))

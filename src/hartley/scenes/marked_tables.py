"""Marked tables: parts of a table of tumours or of a census, marked in cells of their numbers."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, recipe, spawn
from hartley.data import tabular
from hartley.kit.marker import DetectionService, KeyUse
from hartley.kit.table_mark import green_cells

ATTACKERS = 169
"""Rows that only the attacker's tables hold; of a larger table a sixth."""


@recipe(modality=Modality.TABULAR, extras=("tables",))
def marked_tables(
    *,
    data: Literal["tumours", "income"] = "tumours",
    items: Annotated[int, Range(3, 1000)] = 48,
    rows: Annotated[int, Range(16, 160)] = 160,
    width: Annotated[float, Range(0, open_low=True)] = 0.02,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Tables of 30 measures of tumours, or of people of a census, with a label and 32 bits each.

    Of a person five numbers are marked (age, years of school, gains, losses, hours), and the 60
    columns that say categories are left alone; ``income`` needs the pack ``adult``. The attacker
    has tables of their own, of other rows: with the rows of a marked table as they were before, the
    mark could be taken back.

    Args:
        data: ``tumours`` or ``income``.
        items: tables of owners; rows are drawn without repetition in a table, from 400 tumours, so
            that tables share some, or from five sixths of 40,664 people. The attacker's are a sixth
            as many, of the other rows.
        rows: of a table.
        width: of a marked cell, in deviations of a column.
        seed: of the rows.
    """
    records = tabular.tumours() if data == "tumours" else tabular.income()
    marked = 0 if data == "tumours" else len(tabular.NUMBERS)
    whole = np.column_stack([np.asarray(records.x, np.float64), records.labels])
    rng = np.random.default_rng(spawn(seed, "marked tables"))
    order = rng.permutation(len(whole))
    attackers, owners = np.split(order, [max(ATTACKERS, len(whole) // 6)])
    tables, unmarked = (
        np.stack([whole[rng.permutation(part)[:rows]] for _ in range(count)])
        for part, count in ((owners, items), (attackers, max(1, items // 6)))
    )
    return Scene(
        name="marked_tables",
        modality=Modality.TABULAR,
        extra={
            "carriers": Data(
                f"tables of {records.name}", Modality.TABULAR, tables, role="carriers"
            ),
            "unmarked": Data("own tables", Modality.TABULAR, unmarked, role="public"),
        },
        parts=(green_cells(width, marked), DetectionService(), KeyUse(by_item=True)),
        facts={"tables": items, "rows": rows, "columns": whole.shape[1]},
    )

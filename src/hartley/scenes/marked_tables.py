"""Marked tables: parts of a table of breast tumours, marked in the fine cells of their numbers."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, recipe, spawn
from hartley.data import tabular as data
from hartley.kit.marker import DetectionService
from hartley.kit.table_mark import green_cells


@recipe(modality=Modality.TABULAR)
def marked_tables(
    *,
    items: Annotated[int, Range(3, 1000)] = 48,
    rows: Annotated[int, Range(16, 500)] = 200,
    width: Annotated[float, Range(0, open_low=True)] = 0.02,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """Tables of 30 measures of tumours with their label, each marked with 32 bits.

    Args:
        items: tables; rows are drawn from 569 without repetition in a table, so that tables share
            some.
        rows: of a table.
        width: of a marked cell, in deviations of a column.
        seed: of the rows.
    """
    tumours = data.tumours()
    whole = np.column_stack([np.asarray(tumours.x, np.float64), tumours.labels])
    rng = np.random.default_rng(spawn(seed, "marked tables"))
    tables = np.stack([whole[rng.permutation(len(whole))[:rows]] for _ in range(items)])
    return Scene(
        name="marked_tables",
        modality=Modality.TABULAR,
        extra={"carriers": Data("tables of tumours", Modality.TABULAR, tables, role="carriers")},
        parts=(green_cells(width), DetectionService()),
        facts={"tables": items, "rows": rows, "columns": whole.shape[1]},
    )

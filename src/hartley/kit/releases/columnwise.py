"""A synthetic table whose columns are drawn each by itself, by the library metasyn (MIT licence).

Nothing of how columns go together is in such a table. What can be in it are single values: metasyn
lists the values of a column that no smooth law fits, with how often each occurs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

    Floats = NDArray[np.float64]


def synthetic(table: Floats, is_number: NDArray[np.bool_], rng: Rng) -> Floats:
    """Return as many rows as a table (n, d) has, of laws that metasyn fitted to its columns.

    Args:
        table: that the laws are fitted to; NaN is missing.
        is_number: (d,) which columns are numbers; the others are codes of words.
        rng: seeds the rows.

    Raises:
        MissingExtra: metasyn is not installed.
    """
    try:
        import polars
        from metasyn import MetaFrame
    except ModuleNotFoundError as absent:
        raise MissingExtra("metasyn", "synthesis") from absent
    columns: dict[str, Any] = {}
    for place, (values, number) in enumerate(zip(table.T, is_number, strict=True)):
        column = polars.Series(values).fill_nan(None)
        whole = bool((values == np.rint(values))[~np.isnan(values)].all())
        if not number:
            column = column.cast(polars.Int64).cast(polars.String).cast(polars.Categorical)
        elif whole:
            column = column.cast(polars.Int64)
        columns[f"column{place}"] = column
    fitted = MetaFrame.fit_dataframe(polars.DataFrame(columns), progress_bar=False)
    drawn = fitted.synthesize(len(table), seed=int(rng.integers(2**31)), progress_bar=False)
    out = np.empty(table.shape)
    for place, number in enumerate(is_number):
        column = drawn[f"column{place}"]
        values = column if number else column.cast(polars.String)
        out[:, place] = values.cast(polars.Float64).fill_null(np.nan).to_numpy()
    return out

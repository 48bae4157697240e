"""A user's own table, what was released of it and a control: three files as tables of one form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError, did_you_mean
from hartley.data.user_tables import FLAG, WORD, TableForm, form_of_columns, mixed_columns
from hartley.kit.mixed_tables import TableColumn
from hartley.kit.table_files import Column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

ORIGINAL, RELEASED, CONTROL = "the original table", "the released table", "--control"
CATEGORY_OF_NUMBERS = 16
"""Different words up to which a column with numbers among them is taken for a category ("3+")."""


@dataclass(frozen=True, slots=True)
class UserRelease:
    """The three tables, (n, d) floats each, their columns, and the keys of the first two.

    Attributes:
        tables: by what they are.
        columns: of all of them.
        keys: by what they are; empty without a key column.
        may_be_missing: places of the columns of numbers of which some are missing; the next column
            says of which rows.
    """

    tables: Mapping[str, Floats]
    columns: tuple[TableColumn, ...]
    keys: Mapping[str, tuple[Any, ...]]
    may_be_missing: tuple[int, ...] = ()

    def places(self) -> NDArray[np.int64]:
        """Return the released row (n,) of each original row by their keys, −1 for none."""
        row = {key: place for place, key in enumerate(self.keys[RELEASED])}
        return np.array([row.get(key, -1) for key in self.keys[ORIGINAL]], dtype=np.int64)


def as_one_form(
    files: Mapping[str, Path],
    tables: Mapping[str, Mapping[str, Column]],
    row_id: str = "",
) -> UserRelease:
    """Return tables in one form.

    Args:
        files: by what they are, the original first.
        tables: what ``kit.table_files.read_columns`` read from each.
        row_id: the column that says whose a row is, in the original and in the released table;
            empty: none.

    Raises:
        UsageError: columns differ, hold mixed types or nothing, a table has no rows, or a key is
            not there or repeats.
    """
    names = [name for name in tables[ORIGINAL] if name != row_id]
    if not names:
        raise UsageError(f"{files[ORIGINAL]} must have a column besides {row_id!r}, got none")
    keys = _keys(files, tables, row_id) if row_id else {}
    for what, table in tables.items():
        _check_columns(files, what, [name for name in table if name != row_id], names)
        if not next(iter(table.values())).num_rows:
            raise UsageError(f"{files[what]} must have rows, got a header alone")
    for name in names:
        _check_kinds(files, tables, name)
    paths = list(files.values())
    form = form_of_columns(names, [dict(table) for table in tables.values()], paths[0])
    if mixed := mixed_columns(_free(form)):
        raise UsageError(
            f"{paths[0]}: a column must be numbers or words, got both in {', '.join(mixed)}; leave "
            "cells of missing numbers empty"
        )
    encoded = {what: form.encode(dict(table)) for what, table in tables.items()}
    columns = _columns(form)
    for what, x in encoded.items():
        if (endless := ~np.isfinite(x).all(0)).any():
            odd = columns[int(endless.argmax())].name
            raise UsageError(
                f"column {odd!r} of {files[what]} must be finite numbers, got infinity"
            )
    ends = np.cumsum([field.width for field in form.fields])
    missing = tuple(
        int(end) - 2 for end, field in zip(ends, form.fields, strict=True) if field.width > 1
    )
    return UserRelease(encoded, columns, keys, missing)


def _free(form: TableForm) -> TableForm:
    """Return the form without columns of so few words that they are categories."""
    fields = tuple(
        field
        for field in form.fields
        if field.kind == WORD and len(field.words) > CATEGORY_OF_NUMBERS
    )
    return TableForm(fields, named=True)


def _columns(form: TableForm) -> tuple[TableColumn, ...]:
    out: list[TableColumn] = []
    for field in form.fields:
        if field.kind == WORD:
            # A missing word has the last place.
            titles = (*field.words, "(missing)")
            out.append(TableColumn(field.name, len(titles), titles))
        elif field.kind == FLAG:
            out.append(TableColumn(field.name, 2, ("no", "yes")))
        else:
            out.append(TableColumn(field.name))
            if field.fill is not None:
                out.append(TableColumn(f"{field.name} is missing", 2, ("no", "yes")))
    return tuple(out)


def _check_columns(
    files: Mapping[str, Path], what: str, given: Sequence[str], names: Sequence[str]
) -> None:
    """Raise UsageError where a table has not the columns of the original one."""
    lacking, more = [n for n in names if n not in given], [n for n in given if n not in names]
    if not lacking and not more:
        return
    near = did_you_mean(lacking[0], more) if lacking and more else ""
    parts = [
        f"it has no {', '.join(lacking[:6])}" * bool(lacking),
        f"it has {', '.join(more[:6])} besides" * bool(more),
    ]
    raise UsageError(
        f"{files[what]} must have the columns of {files[ORIGINAL]}: "
        f"{' and '.join(part for part in parts if part)}{near}"
        + "; a column that says whose a row is must be named by --row-id"
        * (what == CONTROL and len(lacking) == 1 and not more)
    )


def _check_kinds(
    files: Mapping[str, Path], tables: Mapping[str, Mapping[str, Column]], name: str
) -> None:
    """Raise UsageError where a column is of words in one file and of numbers in another."""
    import pyarrow as pa

    kinds = {}
    for what, table in tables.items():
        values = table[name].values
        kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
        if pa.types.is_null(kind) or values.null_count == len(values):
            raise UsageError(
                f"column {name!r} of {files[what]} must have values, got none in any row: leave it "
                "out of all files"
            )
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
        kinds[what] = "words" if text else "numbers"
    if len(set(kinds.values())) == 1:
        return
    wordy = next(what for what, kind in kinds.items() if kind == "words")
    numeric = next(what for what, kind in kinds.items() if kind == "numbers")
    example = next((v for v in tables[wordy][name].values.to_pylist() if _wordy(v)), "")
    raise UsageError(
        f"column {name!r} must be of one type in all files, got numbers in {files[numeric]} and "
        f"words in {files[wordy]} (such as {str(example)[:40]!r})"
    )


def _wordy(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError):
        return bool(value)
    return False


def _keys(
    files: Mapping[str, Path], tables: Mapping[str, Mapping[str, Column]], row_id: str
) -> dict[str, tuple[Any, ...]]:
    keys = {}
    for what in (ORIGINAL, RELEASED):
        table = tables[what]
        if row_id not in table:
            raise UsageError(
                f"--row-id must be a column of {files[what]}, got "
                f"{row_id!r}{did_you_mean(row_id, table)}"
            )
        cells = table[row_id].values.to_pylist()
        if any(cell is None or cell == "" for cell in cells):
            raise UsageError(
                f"--row-id must say whose each row is: {row_id!r} of {files[what]} has empty cells"
            )
        values = [str(cell) for cell in cells]
        if len(set(values)) < len(values):
            twice, times = Counter(values).most_common(1)[0]
            raise UsageError(
                f"--row-id must say whose a row is: {row_id!r} of {files[what]} has {twice[:40]!r} "
                f"{times} times"
            )
        keys[what] = tuple(values)
    if not set(keys[ORIGINAL]) & set(keys[RELEASED]):
        raise UsageError(
            f"--row-id must link the tables, got no {row_id!r} of {files[ORIGINAL]} that is in "
            f"{files[RELEASED]}"
        )
    return keys

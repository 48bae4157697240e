"""A user's own table of records: numbers and words as columns of numbers, and back for their model.

A record of Hartley is a row of numbers. A model of a user's may read a frame with named columns of
text, whole numbers and missing values. ``TableForm`` writes each table as numbers without a loss,
and gives the model what it was fitted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.control_characters import one_line
from hartley.core.errors import MissingExtra, UsageError, did_you_mean
from hartley.kit.table_files import Column

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

NUMBER, WHOLE, FLAG, WORD = "number", "whole number", "yes or no", "word"
MOST_WORDS = 10_000
"""Different words that a column may have: one with more holds texts or names of rows."""
MOST_VALUES = 64
"""Values of a sensitive column that an attacker chooses among at most."""
MOST_NUMBERS, BINS = 8, 4
"""Different numbers of a sensitive column up to which each is a value; more are put in groups."""


@dataclass(frozen=True, slots=True)
class Field:
    """One column of a table.

    Attributes:
        name: as in the file.
        kind: ``NUMBER``, ``WHOLE`` (no value missing), ``FLAG`` or ``WORD``.
        words: of a ``WORD``, all values in order; a record holds the place of its own. A missing
            word is one place more.
        fill: of a ``NUMBER`` of which values are missing, the number that takes their place.
            Records then have one number more: 1 where it is missing, else 0.
    """

    name: str
    kind: str
    words: tuple[str, ...] = ()
    fill: float | None = None

    @property
    def width(self) -> int:
        """How many numbers of a record it takes."""
        return 1 if self.fill is None else 2


@dataclass(frozen=True, slots=True)
class TableForm:
    """How the records of a table are written as numbers.

    Attributes:
        fields: the columns that the model reads, in its order.
        named: whether the model reads a frame with these names; else an array of numbers.
        frames: the library of the frame that the model reads, pandas or polars.
        absent: what stands for a missing word in a frame of pandas, "nan" or "none": steps that
            were fitted with one take the other for a word that they do not know.
    """

    fields: tuple[Field, ...]
    named: bool
    frames: str = "pandas"
    absent: str = "nan"

    def unnamed(self) -> TableForm | None:
        """Return the form of the same records as an array of numbers; None where some are words."""
        words = any(field.kind == WORD for field in self.fields)
        return None if words else TableForm(self.fields, named=False)

    def encode(self, columns: dict[str, Column]) -> Floats:
        """Return the records (n, numbers) of a table, all of them finite."""
        parts = [_numbers(field, columns[field.name].values) for field in self.fields]
        return np.concatenate(parts, 1) if parts else np.empty((0, 0))

    def decode(self, x: NDArray[Any]) -> Any:
        """Return records as the model reads them: a frame, or an array of numbers.

        Numbers between two places of words are rounded to the nearer one.

        Args:
            x: (n, numbers).
        """
        rows = np.asarray(x, dtype=np.float64).reshape(len(x), -1)
        ends = np.cumsum([field.width for field in self.fields])[:-1]
        parts = np.split(rows, ends, axis=1)
        missing = np.nan if self.absent == "nan" and self.frames == "pandas" else None
        values = [
            _values(field, part, missing) for field, part in zip(self.fields, parts, strict=True)
        ]
        if not self.named:
            return np.stack([np.asarray(value, dtype=np.float64) for value in values], 1)
        names = [field.name for field in self.fields]
        columns = dict(zip(names, values, strict=True))
        if self.frames == "polars":
            import polars as pl

            # A list: of an array of objects polars makes a column of objects.
            plain = {k: v.tolist() if v.dtype.kind == "O" else v for k, v in columns.items()}
            return pl.DataFrame(plain, nan_to_null=True)
        try:
            import pandas as pd
        except ModuleNotFoundError as absent:
            raise MissingExtra("pandas", "tables") from absent
        if self.absent == "none":
            # As objects: a column of strings has NaN in place of None.
            columns = {
                k: pd.Series(v, dtype=object) if v.dtype.kind == "O" else v
                for k, v in columns.items()
            }
        return pd.DataFrame(columns, columns=names)


def read_tables(
    paths: Sequence[Path],
    tables: Sequence[dict[str, Column]],
    target: str,
    *,
    names: Sequence[str] = (),
    reads: int = 0,
    framed: bool = False,
) -> tuple[TableForm, list[Floats], list[list[Any]]]:
    """Return tables in one form.

    Args:
        paths: their files, for messages.
        tables: what ``kit.table_files.read_columns`` read from each.
        target: the column that the model predicts.
        names: the columns that the model reads, in its order; empty: all but the target, as an
            array of numbers.
        reads: how many columns that must be; 0 where it is not known.
        framed: whether the model reads all columns but the target, under their names, where
            ``names`` are none.

    Returns:
        The form, the records of each table (n, numbers), and the target values of each.

    Raises:
        UsageError: a column is missing, or the model cannot read one.
    """
    for path, table in zip(paths, tables, strict=True):
        _check_columns(path, table, target, names)
    wanted = list(names) or [name for name in tables[0] if name != target]
    for path, table in zip(paths[1:], tables[1:], strict=True):
        if absent := [name for name in wanted if name not in table]:
            raise UsageError(
                f"{path} must have the columns of {paths[0]}; it has no column {_listed(absent)}"
            )
    fields = tuple(_field(name, [t[name].values for t in tables], paths[0]) for name in wanted)
    if not names and not framed:
        if words := [f.name for f in fields if f.kind == WORD]:
            raise UsageError(
                f"the model must read text to be asked about {_listed(words)} of {paths[0]}: save "
                "the whole pipeline, with the step that encodes them, fitted on a data frame"
            )
        if reads and len(fields) != reads:
            raise UsageError(
                f"{paths[0]} must have {reads} columns besides the target {target!r}, which the "
                f"model reads, got {len(fields)}: {_listed([f.name for f in fields])}"
            )
    form = TableForm(fields, named=bool(names) or framed)
    targets = [_targets(path, t[target].values) for path, t in zip(paths, tables, strict=True)]
    return form, [form.encode(table) for table in tables], targets


def form_of_columns(
    names: Sequence[str], tables: Sequence[dict[str, Column]], path: Path
) -> TableForm:
    """Return the form of columns that several tables have.

    Args:
        names: of the columns.
        tables: what ``kit.table_files.read_columns`` read from each.
        path: the first of their files, for messages.

    Raises:
        UsageError: a column is neither numbers nor words, or has too many different words.
    """
    fields = tuple(_field(name, [t[name].values for t in tables], path) for name in names)
    return TableForm(fields, named=True)


def check_target(paths: Sequence[Path], tables: Sequence[dict[str, Column]], target: str) -> None:
    """Check that tables have rows and a target, before a model is there to read the rest.

    Raises:
        UsageError: one has not.
    """
    for path, table in zip(paths, tables, strict=True):
        _check_columns(path, table, target, ())


def mixed_columns(form: TableForm) -> list[str]:
    """Say of each column that is mostly numbers which words are among them: ``age (?, none)``."""
    mixed = []
    for field in form.fields:
        odd = [word for word in field.words if not _is_number(word)]
        if odd and len(odd) < len(field.words) / 2:
            mixed.append(f"{field.name} ({_listed(odd, 3)})")
    return mixed


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def field_values(
    form: TableForm, name: str, x: Floats
) -> tuple[tuple[int, ...], Floats, list[str]]:
    """Return where a column is in a record, and the values that an attacker chooses among.

    Of words these are all words, of a few numbers the numbers, and of many the medians of
    ``BINS`` groups of equal size.

    Args:
        form: of the table.
        name: of the column.
        x: (n, numbers), the records.

    Returns:
        The places (c,) of its numbers in a record, the code (K, c) of each value, and its name.

    Raises:
        UsageError: the model reads no such column, or it has fewer than two values or too many.
    """
    names = [field.name for field in form.fields]
    if name not in names:
        near = did_you_mean(name, names)
        raise UsageError(
            f"--sensitive must be a column that the model reads, got {name!r}"
            f"{near + ' It' if near else '; it'} reads {_listed(names)}"
        )
    place = names.index(name)
    field = form.fields[place]
    first = sum(before.width for before in form.fields[:place])
    columns = tuple(range(first, first + field.width))
    there = x[:, first] if field.width == 1 else x[x[:, first + 1] < 0.5, first]
    values = np.unique(there)
    if field.kind == WORD:
        values = values[values < len(field.words)]
        titles = [field.words[int(value)] for value in values]
    else:
        if len(values) > MOST_NUMBERS:
            groups = np.array_split(np.sort(there), BINS)
            values = np.unique([np.median(group) for group in groups])
            if field.kind == WHOLE:
                values = np.unique(np.rint(values))
        titles = [f"{value:g}" for value in values]
    if not 2 <= len(values) <= MOST_VALUES:
        raise UsageError(
            f"--sensitive must be a column of 2 to {MOST_VALUES} values, got {len(values)} in "
            f"{name!r}"
        )
    codes = np.zeros((len(values), field.width))
    codes[:, 0] = values
    return columns, codes, titles


def records(name: str, x: Floats, targets: Sequence[Any], labels: Sequence[Any]) -> Data:
    """Return records with the place of each target among ``labels`` as its label.

    Raises:
        UsageError: a target is none of the labels.
    """
    place = {_plain(label): k for k, label in enumerate(labels)}
    plain = [_plain(value) for value in targets]
    if unknown := sorted({str(v) for v in plain if v not in place}):
        raise UsageError(
            f"the target of {name} must be one of {_listed(list(map(str, labels)))}, which the "
            f"model was fitted on, got {_listed(unknown)}"
            + ("; is the target another column?" if len(unknown) > len(labels) else "")
        )
    y = np.array([place[value] for value in plain], dtype=np.int64)
    return Data(name, Modality.TABULAR, x, y)


def _plain(value: Any) -> Any:
    """Return a value of a file or of a model as they compare: 1, 1.0 and "1" are one label."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:.15g}"
    return str(value).strip().lower() if str(value).lower() in ("true", "false") else str(value)


def _check_columns(path: Path, table: dict[str, Column], target: str, names: Sequence[str]) -> None:
    known = _listed(list(table))
    if not target:
        raise UsageError(f"the target must be a column of {path}: --target COLUMN; it has {known}")
    if target not in table:
        near = did_you_mean(target, table)
        which = f"{near} It has {known}" if near else f"; --target must be one of {known}"
        # One column whose name holds the whole header: the cells are cut at another character.
        if len(table) == 1 and (mark := next((m for m in ";|\t" if m in next(iter(table))), "")):
            which = f": its cells are separated by {mark!r}; save it with commas"
        raise UsageError(f"{path} has no column {target!r}{which}")
    if not table[target].num_rows:
        raise UsageError(f"{path} must have rows, got a header alone")
    if absent := [name for name in names if name not in table]:
        raise UsageError(
            f"{path} must have every column that the model was fitted on, got none named "
            f"{_listed(absent)}; it has {known}"
        )


def _field(name: str, parts: Sequence[Any], path: Path) -> Field:
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds = {part.type for part in parts}
    if any(_is_text(kind) for kind in kinds):
        words: set[str] = set()
        for part in parts:
            plain = part.dictionary_decode() if pa.types.is_dictionary(part.type) else part
            words.update(word for word in pc.unique(plain.cast(pa.string())).to_pylist() if word)
        if len(words) > MOST_WORDS:
            raise UsageError(
                f"column {name!r} of {path} must have at most {MOST_WORDS:,} different words, got "
                f"{len(words):,}; a column of texts or of names is not a feature of a table"
            )
        return Field(name, WORD, tuple(sorted(words)))
    if all(pa.types.is_boolean(kind) for kind in kinds):
        missing = any(part.null_count for part in parts)
        return Field(name, NUMBER, fill=_fill(parts)) if missing else Field(name, FLAG)
    whole = all(pa.types.is_integer(k) or pa.types.is_boolean(k) for k in kinds)
    if whole and not any(part.null_count for part in parts):
        return Field(name, WHOLE)
    numeric = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    for kind in kinds:
        if not pa.types.is_null(kind) and not any(test(kind) for test in numeric):
            raise UsageError(
                f"column {name!r} of {path} must be numbers or words, got {kind}; write dates as "
                "numbers"
            )
    return Field(name, NUMBER, fill=_fill(parts))


def _fill(parts: Sequence[Any]) -> float | None:
    """Return the median of the numbers that are there, or None where none is missing."""
    import pyarrow as pa

    values = np.concatenate([p.cast(pa.float64()).to_numpy(zero_copy_only=False) for p in parts])
    there = values[np.isfinite(values)]
    if not np.isnan(values).any():
        return None
    return float(np.median(there)) if len(there) else 0.0


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _numbers(field: Field, values: Any) -> Floats:
    import pyarrow as pa

    if field.kind == WORD:
        plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
        place = {word: k for k, word in enumerate(field.words)}
        words = plain.cast(pa.string()).to_pylist()
        return np.array([[place.get(w, len(field.words))] for w in words], dtype=np.float64)
    out = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    if field.fill is None:
        return out[:, None]
    absent = np.isnan(out)
    return np.stack([np.where(absent, field.fill, out), absent], 1)


def _values(field: Field, part: Floats, missing: float | None = np.nan) -> Any:
    numbers = part[:, 0]
    if field.fill is not None:
        return np.where(part[:, 1] >= 0.5, np.nan, numbers)
    if field.kind == WORD:
        words: NDArray[Any] = np.array([*field.words, missing], dtype=object)
        places = np.nan_to_num(np.rint(numbers), nan=len(field.words))
        return words[np.clip(places, 0, len(field.words)).astype(np.int64)]
    if field.kind == FLAG:
        return numbers >= 0.5
    if field.kind == WHOLE and np.isfinite(numbers).all() and (numbers == np.rint(numbers)).all():
        return numbers.astype(np.int64)
    return numbers


def _targets(path: Path, values: Any) -> list[Any]:
    import pyarrow as pa

    plain = values.dictionary_decode() if pa.types.is_dictionary(values.type) else values
    out: list[Any] = plain.to_pylist()
    # A file of text has an empty cell, where one with types has a null.
    if empty := [number for number, value in enumerate(out, 1) if value is None or value == ""]:
        raise UsageError(
            f"the target must have a value in every row of {path}, got none in {len(empty):,} of "
            f"{len(out):,} (the first is row {empty[0]:,} below the header): leave these rows out"
        )
    return out


def _listed(names: Sequence[str], most: int = 12) -> str:
    text = ", ".join(one_line(name, 40) for name in names[:most])
    return text + (f" and {len(names) - most} more" if len(names) > most else "")

"""Binary tables → Arrow: Parquet, Arrow and Feather, saved data sets, arrays of NumPy.

A file states what it holds, and may state anything: sizes are checked before anything is decoded.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import BadTable
from hartley.kit.text_tables import LARGEST

if TYPE_CHECKING:
    from numpy.typing import NDArray

STATE, SPLITS = "state.json", "dataset_dict.json"
"""Files of ``save_to_disk`` that name the files of a data set, and the splits of several."""
MOST_CELLS = 200_000_000
"""Rows times columns that a file which states them may have: numbers of 1.6 GB. A small file can
state any number of rows."""


def _parquet(path: Path) -> Any:
    """Read a Parquet file, or all of a folder: text as a dictionary, so that it is stored once."""
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    parts = list(_parts(path)) if path.is_dir() else [path]
    if not parts:
        raise BadTable(f"{path}: a folder of a table must hold .parquet files, got none")
    cells, size, tables = 0, 0, []
    for part in parts:
        with ParquetFile(part) as file:
            about = file.metadata
            cells += about.num_rows * about.num_columns
            size += _decoded_size(about)
            _few_enough(path, cells)
            if size > LARGEST:
                raise BadTable(
                    f"{path}: a table must decode to at most {LARGEST >> 30} GiB, got about "
                    f"{size / 2**30:.3g}; write the columns that are read alone, or take a part "
                    "of the rows"
                )
            text = [
                about.schema.column(i).path
                for i in range(about.num_columns)
                if about.schema.column(i).physical_type == "BYTE_ARRAY"
            ]
        with ParquetFile(part, read_dictionary=text) as file:
            tables.append(_checked(file.read()))
    return tables[0] if len(tables) == 1 else pa.concat_tables(tables, promote_options="permissive")


def _arrow(path: Path) -> Any:
    """Read a file of Arrow (also a stream) or Feather, or the files of a saved data set."""
    import pyarrow as pa

    tables = [_arrow_file(part) for part in _saved(path)] if path.is_dir() else [_arrow_file(path)]
    _few_enough(path, sum(table.num_rows * table.num_columns for table in tables))
    table = pa.concat_tables(tables, promote_options="permissive")
    for k, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):  # as polars writes text
            table = table.set_column(k, field.name, table.column(k).cast(pa.string()))
    return table


def _saved(folder: Path) -> list[Path]:
    """Return the files of a folder of ``save_to_disk``, in the order of their rows."""
    if (folder / SPLITS).is_file():
        splits = json.loads((folder / SPLITS).read_text(encoding="utf-8")).get("splits") or []
        each = ", ".join(str(folder / str(split)) for split in splits)
        raise BadTable(f"{folder}: a table must be one split of a data set, got all: name {each}")
    state = json.loads((folder / STATE).read_text(encoding="utf-8"))
    names = [Path(str(part["filename"])).name for part in state.get("_data_files") or []]
    if not names:
        raise BadTable(f"{folder}: a saved data set must name its files in {STATE}, got none")
    return [folder / name for name in names]


def _arrow_file(path: Path) -> Any:
    import pyarrow as pa
    from pyarrow import ipc

    with path.open("rb") as source:
        magic = source.read(6)
        source.seek(0)
        if magic.startswith(b"FEA1"):
            raise BadTable(f"{path}: Feather must be of version 2, got version 1; write it again")
        batches, size = [], 0
        if magic == b"ARROW1":
            reader = ipc.open_file(source)
            each: Iterator[Any] = (reader.get_batch(k) for k in range(reader.num_record_batches))
        else:
            reader = ipc.open_stream(source)
            each = iter(reader)
        for batch in each:
            batch.validate(full=True)  # a file may state any offsets
            size += batch.nbytes
            if size > LARGEST:
                raise BadTable(
                    f"{path}: a table must unpack to at most {LARGEST >> 30} GiB, got more; take "
                    "a part of it"
                )
            batches.append(batch)
        return pa.Table.from_batches(batches, reader.schema)


def _decoded_size(about: Any) -> int:
    """Return how many bytes a Parquet file decodes to at most, from what it states of itself.

    Text is decoded as a dictionary, which is stored once; in lists it is not, so that every value
    may be as long as the whole column is.
    """
    size = 0
    for group in (about.row_group(k) for k in range(about.num_row_groups)):
        for k in range(group.num_columns):
            column, kind = group.column(k), about.schema.column(k)
            stored, values = column.total_uncompressed_size, column.num_values
            if kind.physical_type == "FIXED_LEN_BYTE_ARRAY":
                size += values * kind.length
            elif kind.physical_type != "BYTE_ARRAY":
                size += values * 8
            elif kind.max_repetition_level == 0:
                size += stored + values * 4
            else:
                size += stored * values if column.has_dictionary_page else stored + values * 8
    return size


def _checked(table: Any) -> Any:
    """Return a table whose dictionaries hold every index: Arrow does not check those of a file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in table.columns:
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            ends = pc.min_max(chunk.indices).as_py()
            if ends["max"] is not None and not 0 <= ends["min"] <= ends["max"] < len(
                chunk.dictionary
            ):
                raise ValueError("a dictionary does not hold an index of its column")
    return table


def _parts(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder in order, without those that writers hide from readers."""
    for path in sorted(folder.rglob("*")):
        hidden = any(name.startswith((".", "_")) for name in path.relative_to(folder).parts)
        if path.is_file() and path.suffix.lower() in (".parquet", ".parq", ".pq") and not hidden:
            yield path


def _few_enough(path: Path, cells: int) -> None:
    if cells > MOST_CELLS:
        raise BadTable(
            f"{path}: a table must have at most {MOST_CELLS:,} cells, got {cells:,}; write the "
            "columns that are read alone, or take a part of the rows"
        )


def _npy(path: Path) -> Any:
    """Read an array of records, whose fields are the columns."""
    # Mapped into memory: a header may state more rows than the file holds.
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.names is None or array.ndim != 1:
        raise BadTable(
            f"{path}: an array of a table must have named fields, got {array.dtype} of shape "
            f"{array.shape}; write numpy.rec.fromarrays([truth, guess], names='truth,guess')"
        )
    _few_enough(path, len(array) * len(array.dtype.names))
    return _from_arrays(path, {name: array[name] for name in array.dtype.names})


def _npz(path: Path) -> Any:
    """Read an archive of arrays, whose names are the columns."""
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > LARGEST:
            raise BadTable(
                f"{path}: a compressed table must unpack to at most {LARGEST >> 30} GiB, got more"
            )
    with np.load(path, allow_pickle=False) as arrays:
        return _from_arrays(path, {name: arrays[name] for name in arrays.files})


def _from_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> Any:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for name, array in arrays.items():
        if array.ndim != 1 or array.dtype.kind not in "biufSUMm":
            what = "complex numbers" if array.dtype.kind == "c" else f"{array.dtype}"
            raise BadTable(
                f"{path}: `{name}` must be one number or text a row, got {what} of shape "
                f"{array.shape}"
            )
        columns[name] = pa.array(_plain(array))
    if len(set(map(len, columns.values()))) > 1:
        lengths = ", ".join(f"{name} {len(column)}" for name, column in columns.items())
        raise BadTable(f"{path}: columns must have equally many rows, got {lengths}")
    return pa.table(columns)


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """Return an array of a type that Arrow has, in this machine's order of bytes."""
    kind = array.dtype.kind
    if kind in "Mm" and np.datetime_data(array.dtype)[0] not in ("s", "ms", "us", "ns"):
        return array.astype(f"{kind}8[s]")
    if kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return np.ascontiguousarray(array, array.dtype.newbyteorder("="))


BINARY: Mapping[str, Callable[[Path], Any]] = {
    **{".npy": _npy, ".npz": _npz, ".parquet": _parquet},
    **{".arrow": _arrow, ".feather": _arrow},
}

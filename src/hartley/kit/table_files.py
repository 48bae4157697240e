"""Tables that other tools wrote → columns of Arrow: the one place where their files are read.

CSV and TSV, also compressed, JSON lines, arrays of NumPy, Parquet and folders of Parquet, Arrow and
Feather, and folders that ``save_to_disk`` of Hugging Face datasets writes. Text must be UTF-8, with
or without a byte-order mark, unless the caller names its encoding.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
import stat
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from hartley.core.control_characters import one_line
from hartley.core.errors import BadTable

if TYPE_CHECKING:
    from numpy.typing import NDArray

PACKED = (".gz", ".bz2", ".zst")
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".jsonl", ".npy", ".npz", ".arrow", ".feather", ".parquet")
"""Kinds of files that are read; of text also the other two of ``PACKED``, and ``.ndjson``."""
STATE, SPLITS = "state.json", "dataset_dict.json"
"""Files of ``save_to_disk`` that name the files of a data set, and the splits of several."""
LARGEST = 4 * 2**30
"""Bytes that a compressed file may unpack to."""
MOST_CELLS = 200_000_000
"""Rows times columns that a file which states them may have: numbers of 1.6 GB. A small file can
state any number of rows."""
UNREADABLE = (
    *(OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error),
    *(RuntimeError, SyntaxError, tokenize.TokenError, MemoryError, OverflowError),
)
"""What a broken file raises besides errors of Arrow; the last ones are of archives and arrays, of
which a header can state any size."""
BLOCK = 1 << 20
"""Bytes that are parsed at a time, where every row is shorter."""


Reader = Callable[[Path, str, Collection[str], Collection[str]], Any]
"""(path, encoding, words, ordered) of a text → a table of Arrow; see ``read_columns``."""


class Column:
    """One column of a table: its name and its Arrow values."""

    def __init__(self, name: str, values: Any) -> None:
        self.name, self.values = name, values

    @property
    def num_rows(self) -> int:
        """How many rows the table has."""
        return len(self.values)


def read_columns(
    path: Path,
    encoding: str | None = None,
    *,
    words: Collection[str] = (),
    ordered: Collection[str] = (),
) -> dict[str, Column]:
    """Read the columns of a table, by name.

    Args:
        path: a file of one of ``SUFFIXES``, or a folder of Parquet files or of a saved data set.
        encoding: of a text file; None: UTF-8.
        words: columns that are read as text where the file has no types: 007 is not 7.
        ordered: columns of which only the order counts: whole numbers that floats cannot hold
            stay text.

    Raises:
        BadTable: the file cannot be read; the message is one line.
    """
    kind = _known_kind(path, encoding)
    import pyarrow as pa

    try:
        if kind in TEXT and encoding is None and _is_binary(path):
            raise BadTable(f"{path}: a {kind} file must be text, got binary data")
        if kind in BINARY:
            table = BINARY[kind](path)
        else:
            table = TEXT[kind](path, encoding or "utf-8", words, ordered)
        table = table.unify_dictionaries()
        names = [name.strip() for name in table.column_names]
    except UnicodeError as error:
        raise BadTable(f"{path}: {_encoding_of(path)}") from error
    except (pa.ArrowException, *UNREADABLE) as error:
        reason = one_line((str(error).strip().splitlines() or [type(error).__name__])[0], 200)
        if "invalid UTF8" in reason:
            raise BadTable(f"{path}: {_encoding_of(path)}") from error
        raise BadTable(
            f"{path}: cannot be read as {kind[1:]}: {reason}{_cure(kind, reason)}"
        ) from error
    for name in names:
        if names.count(name) > 1:
            raise BadTable(f"{path}: column names must differ, got two columns `{name}`")
    columns = {name: Column(name, _joined(table.column(i))) for i, name in enumerate(names)}
    # What the reader decoded is kept for the next file: of a large table as much as the table.
    del table
    pa.default_memory_pool().release_unused()
    return columns


def _cure(kind: str, reason: str) -> str:
    """Say what to do about an error of a reader, where it is known."""
    if "Parquet magic bytes" in reason or "Parquet file size" in reason:
        return "; the file is no whole Parquet file: write or copy it again"
    if kind == ".csv" and "Expected 1 columns" in reason:
        return "; are its cells separated by something else? Save it with commas, or as .tsv"
    if "Expected" in reason and "columns, got" in reason:
        return "; every row must have as many cells as the header"
    return ""


def _joined(chunks: Any) -> Any:
    """Return a column as one array, its extension type removed."""
    import pyarrow as pa

    values = chunks.combine_chunks()
    if isinstance(values, pa.ChunkedArray):
        values = values.chunk(0) if values.num_chunks else pa.array([], values.type)
    return values.storage if isinstance(values, pa.ExtensionArray) else values


def _kind(path: Path) -> tuple[str, str]:
    """Return the suffix that says the format, and that of its compression or an empty string."""
    last = path.suffix.lower()
    packed = last if last in PACKED else ""
    kind = path.with_suffix("").suffix.lower() if packed else last
    return {".ndjson": ".jsonl"}.get(kind, kind), packed


def _known_kind(path: Path, encoding: str | None) -> str:
    """Return the suffix that says the format of a file that is there."""
    kind, _ = _kind(path)
    if path.is_dir() and any((path / name).is_file() for name in (STATE, SPLITS)):
        return ".arrow"
    if kind not in {**TEXT, **BINARY}:
        raise BadTable(
            f"{path}: a table must be a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} "
            f"file, got {path.suffix!r}"
        )
    try:
        about = path.stat()
    except FileNotFoundError:
        raise BadTable(f"{path}: no such file") from None
    except (OSError, ValueError) as error:  # a loop of links, a name that is too long or holds NUL
        raise BadTable(f"{path}: {getattr(error, 'strerror', None) or error}") from error
    if stat.S_ISDIR(about.st_mode):
        if kind != ".parquet":
            raise BadTable(f"{path}: a table must be a file, got a folder")
    elif not stat.S_ISREG(about.st_mode):  # to read a pipe or a device may never end
        raise BadTable(f"{path}: a table must be a file, got a pipe or a device")
    elif about.st_size == 0:
        raise BadTable(f"{path}: the file is empty")
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError as error:
        raise BadTable(
            f"encoding must be one that Python knows, such as utf-16 or latin-1, got {encoding!r}"
        ) from error
    return kind


def _is_binary(path: Path) -> bool:
    """Whether a file begins with bytes that no text has."""
    head = _head(path)
    controls = bytes((*range(9), *range(14, 27)))
    return any(c in head for c in controls) and not _is_wide(head)


def _is_wide(head: bytes) -> bool:
    """Whether text is in UTF-16, whose other bytes are mostly 0."""
    marks = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    # What has no mark is text all the same where every second byte is printed.
    zeros = max(head[0::2].count(0), head[1::2].count(0))
    return head.startswith(marks) or zeros >= 0.4 * len(head) > 0


def _head(path: Path) -> bytes:
    with _unpacked(path) as source:
        return source.read(4096)


def _encoding_of(path: Path) -> str:
    """Say which encoding a text that is not UTF-8 may have, and what to do."""
    wide = _is_wide(_head(path))
    name, flag = ("UTF-16", "utf-16") if wide else ("another encoding", "latin-1")
    return (
        f"a table must be UTF-8, got {name}; save it as UTF-8, or name its encoding "
        f"(--encoding {flag})"
    )


# --- text


class _Capped(io.RawIOBase):
    """An unpacked stream that ends in an error after ``LARGEST`` bytes."""

    def __init__(self, path: Path, source: IO[bytes]) -> None:
        self.path, self.source, self.read_so_far = path, source, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self.source.read(len(buffer))
        self.read_so_far += len(block)
        if self.read_so_far > LARGEST:
            raise BadTable(
                f"{self.path}: a compressed table must unpack to at most {LARGEST >> 30} GiB, got "
                "more; unpack it or take a part of it"
            )
        buffer[: len(block)] = block
        return len(block)


def _unpacked(path: Path) -> IO[bytes]:
    """Open a text file for its bytes, unpacked."""
    import pyarrow as pa

    _, packed = _kind(path)
    if not packed:
        return path.open("rb")
    source = pa.input_stream(
        str(path), compression={".gz": "gzip", ".zst": "zstd"}.get(packed, "bz2")
    )
    return io.BufferedReader(_Capped(path, source), BLOCK)


def _blocks(path: Path, parse: Callable[[IO[bytes], int], Any]) -> Any:
    """Parse a text in blocks of bytes; where a row is longer than a block, in larger ones."""
    import pyarrow as pa

    size = BLOCK
    while True:
        try:
            with _unpacked(path) as source:
                return parse(source, size)
        except pa.ArrowInvalid as error:
            if "straddling" not in str(error) or size >= 1 << 30:
                raise
            size *= 32


def _delimited(delimiter: str) -> Reader:
    """Return the reader of text whose cells are separated by a character."""

    def read(path: Path, encoding: str, words: Collection[str], ordered: Collection[str]) -> Any:
        import pyarrow as pa
        from pyarrow import csv as arrow

        text = pa.dictionary(pa.int32(), pa.string())
        header = _header(path, encoding, delimiter)
        types = {name: text for name in header if name.strip() in words}

        def table() -> Any:
            return _blocks(
                path,
                lambda source, size: arrow.read_csv(
                    source,
                    arrow.ReadOptions(block_size=size, encoding=encoding),
                    arrow.ParseOptions(delimiter=delimiter, newlines_in_values=True),
                    arrow.ConvertOptions(column_types=types),
                ),
            )

        read_once = table()
        # Whole numbers beyond 64 bits were read as floats, which do not keep their order.
        named = zip(read_once.column_names, read_once.columns, strict=True)
        long = {n: text for n, values in named if n.strip() in ordered and _is_long(values)}
        if not long:
            return read_once
        types |= long
        return table()

    return read


def _is_long(column: Any) -> bool:
    """Whether a column of floats has whole numbers that floats cannot hold."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_floating(column.type):
        return False
    ends = pc.min_max(column).as_py()
    least, most = ends["min"], ends["max"]
    return most is not None and max(abs(least), abs(most)) >= 2.0**53


def _header(path: Path, encoding: str, delimiter: str) -> list[str]:
    """Return the names of the columns as they are written, with their spaces."""
    # The mark is no part of the first name; of UTF-16 the codec takes it itself.
    encoding = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    with io.TextIOWrapper(_unpacked(path), encoding, newline="") as text:
        try:
            return next(csv.reader(text, delimiter=delimiter), [])
        except csv.Error as error:
            raise ValueError(f"its header: {error}") from error


def _json_lines(
    path: Path, encoding: str, _words: Collection[str], _ordered: Collection[str]
) -> Any:
    """Read one JSON object a line; JSON has types."""
    import pyarrow as pa
    from pyarrow import json as arrow

    def parse(source: IO[bytes], size: int) -> Any:
        return arrow.read_json(
            source, arrow.ReadOptions(block_size=size), arrow.ParseOptions(newlines_in_values=False)
        )

    if codecs.lookup(encoding).name == "utf-8" and _begin_objects(path):
        try:
            return _blocks(path, parse)
        except pa.ArrowInvalid as error:
            if "changed from" not in str(error):
                with io.TextIOWrapper(_unpacked(path), encoding) as lines:
                    for number, line in enumerate(lines, 1):
                        if line.strip():
                            _json_of(line, number)  # says which line is at fault
                raise
    # A column of numbers and words, which Arrow does not read.
    with io.TextIOWrapper(_unpacked(path), encoding) as lines:
        rows = [_json_of(line, k) for k, line in enumerate(lines, 1) if line.strip()]
    if odd := [row for row in rows if not isinstance(row, dict)]:
        raise ValueError(f"every line must be an object, got {odd[0]!r}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pa.table({name: mixed_values([row.get(name) for row in rows]) for name in names})


def _json_of(line: str, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at character {error.pos + 1}"
        raise ValueError(f"line {number} is not JSON: {reason}") from error


_NO_OBJECT = re.compile(rb"\n[ \t\r]*[^ \t\r\n{]")
_LINE_BEGINS = re.compile(rb"\n[ \t\r]*\Z")


def _begin_objects(path: Path) -> bool:
    """Whether each line that is not empty begins with a brace.

    Arrow 26 ends the process where the first row of a block is ``null``.
    """
    with _unpacked(path) as source:
        begin = b"\n" + source.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
        while block := source.read(BLOCK):
            text = begin + block
            if _NO_OBJECT.search(text):
                return False
            begin = b"\n" if _LINE_BEGINS.search(text[-BLOCK:]) else b""
        return not _NO_OBJECT.search(begin)


def mixed_values(values: list[Any]) -> Any:
    """Return values of several types as an Arrow array: where they are, as text."""
    import pyarrow as pa

    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):  # several types, or numbers beyond 64 bits
        return pa.array(
            [None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values]
        )


# --- binary


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


def as_numpy(values: Any) -> Any:
    """Return an Arrow array as a numpy array, which may be read-only.

    Where Arrow shares its memory it does so itself: its own ``to_numpy`` imports pandas, where that
    is installed, which takes longer than a table of a million rows.
    """
    import numpy as np
    import pyarrow as pa

    plain = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if plain and isinstance(values, pa.Array) and not values.null_count:
        return np.from_dlpack(values)
    return values.to_numpy(zero_copy_only=False)


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


TEXT: Mapping[str, Reader] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _json_lines,
}
BINARY: Mapping[str, Callable[[Path], Any]] = {
    **{".npy": _npy, ".npz": _npz, ".parquet": _parquet},
    **{".arrow": _arrow, ".feather": _arrow},
}

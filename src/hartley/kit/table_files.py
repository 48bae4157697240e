"""Tables that other tools wrote → columns of Arrow: which kind a file is, and its columns by name.

CSV and TSV, also compressed, JSON lines, arrays of NumPy, Parquet and folders of Parquet, Arrow and
Feather, and folders that ``save_to_disk`` of Hugging Face datasets writes. Text must be UTF-8, with
or without a byte-order mark, unless the caller names its encoding. The readers are in
``text_tables`` and ``binary_tables``.
"""

from __future__ import annotations

import codecs
import stat
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from hartley.core.control_characters import one_line
from hartley.core.errors import BadTable
from hartley.kit.binary_tables import BINARY, SPLITS, STATE
from hartley.kit.text_tables import TEXT, kind_of, unpacked

SUFFIXES = (".csv", ".tsv", ".csv.gz", ".jsonl", ".npy", ".npz", ".arrow", ".feather", ".parquet")
"""Kinds of files that are read; of text also the other two of ``PACKED``, and ``.ndjson``."""
UNREADABLE = (
    *(OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error),
    *(RuntimeError, SyntaxError, tokenize.TokenError, MemoryError, OverflowError),
)
"""What a broken file raises besides errors of Arrow; the last ones are of archives and arrays, of
which a header can state any size."""


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


def _known_kind(path: Path, encoding: str | None) -> str:
    """Return the suffix that says the format of a file that is there."""
    kind, _ = kind_of(path)
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
    with unpacked(path) as source:
        return source.read(4096)


def _encoding_of(path: Path) -> str:
    """Say which encoding a text that is not UTF-8 may have, and what to do."""
    wide = _is_wide(_head(path))
    name, flag = ("UTF-16", "utf-16") if wide else ("another encoding", "latin-1")
    return (
        f"a table must be UTF-8, got {name}; save it as UTF-8 (hartley measure also reads it with "
        f"--encoding {flag})"
    )


def as_numpy(values: Any) -> Any:
    """Return an Arrow array as a numpy array, which may be read-only.

    Where Arrow shares its memory it does so itself: its own ``to_numpy`` imports pandas, where that
    is installed, which takes longer than a table of a million rows.
    """
    import pyarrow as pa

    plain = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if plain and isinstance(values, pa.Array) and not values.null_count:
        return np.from_dlpack(values)
    return values.to_numpy(zero_copy_only=False)

"""Tables of text → Arrow: CSV, TSV and JSON lines, also compressed, in blocks that stay small."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import IO, Any

from hartley.core.errors import BadTable

PACKED = (".gz", ".bz2", ".zst")
"""Suffixes of compressed text."""
LARGEST = 4 * 2**30
"""Bytes that a compressed file may unpack to."""
BLOCK = 1 << 20
"""Bytes that are parsed at a time, where every row is shorter."""

Reader = Callable[[Path, str, Collection[str], Collection[str]], Any]
"""(path, encoding, words, ordered) of a text → a table of Arrow; see ``read_columns``."""


def kind_of(path: Path) -> tuple[str, str]:
    """Return the suffix that says the format, and that of its compression or an empty string."""
    last = path.suffix.lower()
    packed = last if last in PACKED else ""
    kind = path.with_suffix("").suffix.lower() if packed else last
    return {".ndjson": ".jsonl"}.get(kind, kind), packed


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


def unpacked(path: Path) -> IO[bytes]:
    """Open a text file for its bytes, unpacked."""
    import pyarrow as pa

    _, packed = kind_of(path)
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
            with unpacked(path) as source:
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
    with io.TextIOWrapper(unpacked(path), encoding, newline="") as text:
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
                with io.TextIOWrapper(unpacked(path), encoding) as lines:
                    for number, line in enumerate(lines, 1):
                        if line.strip():
                            _json_of(line, number)  # says which line is at fault
                raise
    # A column of numbers and words, which Arrow does not read.
    with io.TextIOWrapper(unpacked(path), encoding) as lines:
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
    with unpacked(path) as source:
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


TEXT: Mapping[str, Reader] = {
    ".csv": _delimited(","),
    ".tsv": _delimited("\t"),
    ".jsonl": _json_lines,
}

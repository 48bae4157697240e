"""A file of another tool, opened within bounds: nothing in it is believed before it was counted.

A file states its own sizes, and they can be anything: of a member of an archive, of an array, of a
line, of the depth of its JSON. Each is limited here, and what breaks is one ``BadTrials``.
"""

from __future__ import annotations

import io
import json
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from hartley.core.control_characters import one_line
from hartley.core.errors import BadTrials
from hartley.importers.outcomes import matching

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIB = 1 << 20
LARGEST = 4096 * MIB
"""Bytes that a file of lines, or an array, may unpack to."""
LARGEST_DOCUMENT = 512 * MIB
"""Bytes of one JSON document: its Python objects are ten times as large."""
LONGEST_LINE = 64 * MIB
"""Bytes of one line of JSON."""
MOST_MEMBERS = 200_000
"""Members that an archive may have."""
GZIP, ZIP, NUMPY = b"\x1f\x8b", b"PK\x03\x04", b"\x93NUMPY"
ZSTANDARD = 93
"""The method of members that are compressed by zstd, which this Python's ``zipfile`` lacks."""
BROKEN = (
    *(OSError, EOFError, ValueError, RuntimeError, MemoryError, OverflowError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error, KeyError, tokenize.TokenError),
)
"""What a broken file raises; ``RecursionError``, of JSON that is nested too deeply, is among them,
and ``UnicodeError``."""


class Source:
    """A file that another tool wrote.

    Attributes:
        path: where it is.
        truth_file: a second file with the secrets, where this one has only the scores.
        only: the part of the file that is measured, where it has several; empty: not said.
        is_folder: whether it is a folder, which has none of what follows.
        head: its first bytes, unpacked.
    """

    def __init__(self, path: Path, truth_file: Path | None = None, only: str = "") -> None:
        """Open a file, or a folder, for a look at its first bytes.

        Raises:
            BadTrials: it is not a file that can be read, or it is empty.
        """
        self.path, self.truth_file, self.only = path, truth_file, only
        try:
            about = path.stat()
        except FileNotFoundError:
            raise BadTrials(f"{path}: no such file") from None
        except (OSError, ValueError) as error:
            raise BadTrials(f"{path}: {getattr(error, 'strerror', None) or error}") from error
        self.is_folder, self.head, self.size = stat.S_ISDIR(about.st_mode), b"", 0
        if self.is_folder:
            return
        if not stat.S_ISREG(about.st_mode):
            raise BadTrials(f"{path}: the results must be a file, got a pipe or a device")
        if about.st_size == 0:
            raise BadTrials(f"{path}: the file is empty")
        self.size = about.st_size
        try:
            with self._open() as file:
                self.head = file.read(4096)
        except BROKEN as error:
            raise self.broken("cannot be read", error) from error

    def broken(self, what: str, error: BaseException | str) -> BadTrials:
        """Return the error that a broken file ends in, as one line."""
        reason = str(error) or type(error).__name__
        if isinstance(error, RecursionError):
            reason = "it is nested too deeply"
        return BadTrials(f"{self.path}: {what}: {one_line(reason.splitlines()[0], 200)}")

    def chosen(self, parts: Sequence[str], what: str) -> str:
        """Return the one of several parts of the file that is measured.

        Raises:
            BadTrials: there are several and none was chosen, or the chosen one is not there.
        """
        listed = ", ".join(parts)
        if self.only:
            near = matching(parts, self.only)
            if len(near) == 1:
                return near[0]
            raise BadTrials(
                f"{self.path}: --only must name one {what}, got {self.only!r}; it has {listed}"
            )
        if len(parts) > 1:
            raise BadTrials(
                f"{self.path}: the file must have one {what}, got {len(parts)}: {listed}; choose "
                f"with --only {parts[0]!r} (to report the best of them, with --tries {len(parts)})"
            )
        return parts[0]

    @property
    def is_zip(self) -> bool:
        """Whether it is a zip archive: a log of Inspect, or arrays of NumPy."""
        return self.head.startswith(ZIP)

    @property
    def is_array(self) -> bool:
        """Whether it is one array of NumPy."""
        return self.head.startswith(NUMPY)

    @cached_property
    def is_json(self) -> bool:
        """Whether its first character begins an object or a list of JSON."""
        text = self.head.removeprefix(b"\xef\xbb\xbf").lstrip()
        return text[:1] in (b"{", b"[")

    def _open(self) -> IO[bytes]:
        with self.path.open("rb") as file:
            packed = file.read(2) == GZIP
        if not packed:
            return self.path.open("rb")
        import gzip

        return cast(IO[bytes], gzip.open(self.path, "rb"))

    # --- JSON

    def lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield each line that is an object, with its number from 1.

        Raises:
            BadTrials: a line is too long, is not JSON, or is not an object.
        """
        for number, line in self._raw_lines():
            value = self._parsed(line, f"line {number}")
            if not isinstance(value, dict):
                raise self.broken(f"line {number}", "it must be an object of JSON")
            yield number, value

    def _raw_lines(self) -> Iterator[tuple[int, bytes]]:
        size = 0
        try:
            with self._open() as file:
                number = 0
                while line := file.readline(LONGEST_LINE + 1):
                    number += 1
                    size += len(line)
                    if len(line) > LONGEST_LINE or size > LARGEST:
                        raise BadTrials(
                            f"{self.path}: a line must have at most {LONGEST_LINE // MIB} MiB and "
                            f"the file {LARGEST // MIB} MiB, got more at line {number}"
                        )
                    if line.strip(b" \t\r\n\xef\xbb\xbf"):
                        yield number, line
        except BROKEN as error:
            raise self.broken("cannot be read", error) from error

    @cached_property
    def first(self) -> dict[str, Any] | None:
        """The object on the first line; None where that line is not one."""
        if not self.is_json:
            return None
        try:
            line = next(self._raw_lines(), (1, b""))[1]
            value = json.loads(line.decode("utf-8-sig"))
        except (BadTrials, *BROKEN):  # also a document on one line, which may be longer
            return None
        return value if isinstance(value, dict) else None

    @cached_property
    def has_lines(self) -> bool:
        """Whether it is JSON with an object on its first line, and more lines below it."""
        if self.first is None:
            return False
        lines = self._raw_lines()
        next(lines)
        return next(lines, None) is not None

    @cached_property
    def document(self) -> Any:
        """The whole file as one value of JSON; None where it is something else.

        Raises:
            BadTrials: it begins as JSON and is not, or is too large or nested too deeply.
        """
        if not self.is_json or self.has_lines:
            return None
        if self.first is not None:
            return self.first
        try:
            with self._open() as file:
                text = file.read(LARGEST_DOCUMENT + 1)
        except BROKEN as error:
            raise self.broken("cannot be read", error) from error
        if len(text) > LARGEST_DOCUMENT:
            raise BadTrials(
                f"{self.path}: a JSON document must have at most {LARGEST_DOCUMENT // MIB} MiB, "
                "got more; write one object a line instead"
            )
        return self._parsed(text, "the file")

    def _parsed(self, text: bytes, what: str) -> Any:
        try:
            return json.loads(text.decode("utf-8-sig"))
        except UnicodeError as error:
            raise self.broken(f"{what} must be UTF-8", error) from error
        except BROKEN as error:
            raise self.broken(f"{what} is not JSON", error) from error

    # --- archives

    @cached_property
    def members(self) -> dict[str, zipfile.ZipInfo]:
        """The members of a zip archive, by name; empty where it is not one.

        Raises:
            BadTrials: the archive is broken.
        """
        if not self.is_zip:
            return {}
        try:
            with zipfile.ZipFile(self.path) as archive:
                members = archive.infolist()
        except BROKEN as error:
            raise self.broken("cannot be read as a zip archive", error) from error
        if len(members) > MOST_MEMBERS:
            raise BadTrials(
                f"{self.path}: an archive must have at most {MOST_MEMBERS:,} members, got "
                f"{len(members):,}"
            )
        return {member.filename: member for member in members}

    def member_json(self, name: str) -> Any:
        """Return a member of the archive as JSON.

        Raises:
            BadTrials: the member is missing, broken or too large.
        """
        return self._parsed(self._member(name, LARGEST_DOCUMENT), f"its member {name}")

    def _member(self, name: str, most: int) -> bytes:
        about = self.members.get(name)
        if about is None:
            raise self.broken("cannot be read", f"the archive has no member {name}")
        try:
            content = (
                self._zstandard(about, most)
                if about.compress_type == ZSTANDARD
                else self._unpacked(about, most)
            )
        except BROKEN as error:
            raise self.broken(f"its member {name} cannot be read", error) from error
        if len(content) > most:
            raise BadTrials(
                f"{self.path}: its member {name} must unpack to at most {most // MIB} MiB, got more"
            )
        return content

    def _unpacked(self, about: zipfile.ZipInfo, most: int) -> bytes:
        with zipfile.ZipFile(self.path) as archive, archive.open(about) as stream:
            return stream.read(most + 1)

    def _zstandard(self, about: zipfile.ZipInfo, most: int) -> bytes:
        import pyarrow as pa

        with self.path.open("rb") as file:
            file.seek(about.header_offset)
            # Of the local header only the lengths of the name and of the extra field are needed.
            signature, name_length, extra_length = struct.unpack("<4s22xHH", file.read(30))
            if signature != ZIP:
                raise ValueError("its header is not that of a member")
            file.seek(name_length + extra_length, 1)
            packed = file.read(min(about.compress_size, self.size))
        with pa.CompressedInputStream(pa.BufferReader(packed), "zstd") as stream:
            content = bytes(stream.read(most + 1))
        if len(content) <= most and zlib.crc32(content) != about.CRC:
            raise ValueError("its checksum is wrong")
        return content

    # --- arrays

    def array(self) -> NDArray[Any]:
        """Return the array of an ``.npy`` file, mapped into memory.

        Raises:
            BadTrials: it is broken, or holds Python objects.
        """
        try:
            # Mapped, since a header may state more than the file holds.
            return np.asarray(np.load(self.path, mmap_mode="r", allow_pickle=False))
        except BROKEN as error:
            raise self.broken("cannot be read as an array", error) from error

    def array_names(self) -> set[str]:
        """Return the names of the arrays of an ``.npz`` archive."""
        return {name.removesuffix(".npy") for name in self.members if name.endswith(".npy")}

    def arrays(self, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Return arrays of an ``.npz`` archive, by name.

        Raises:
            BadTrials: one is missing, broken, too large, or holds Python objects.
        """
        return {name: self._array(name) for name in names}

    def _array(self, name: str) -> NDArray[Any]:
        content = io.BytesIO(self._member(f"{name}.npy", LARGEST))
        try:
            version = np.lib.format.read_magic(content)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            shape, _, dtype = read(content)
            size = len(content.getbuffer()) - content.tell()
            if not dtype.hasobject and int(np.prod(shape, dtype=object)) * dtype.itemsize > size:
                raise ValueError(f"its header states shape {shape}, more than it holds")
            content.seek(0)
            return np.asarray(np.lib.format.read_array(content, allow_pickle=False))
        except BROKEN as error:
            raise self.broken(f"its array {name} cannot be read", error) from error

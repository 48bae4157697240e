"""One object of a run: a piece of its journal, and the files that the piece vouches for.

It is a ZIP file that never changes. Its name holds a generation, which each writer counts on, a
number, and the digest of its content; what it says of itself names the segment before it.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SCHEMA = "hartley.segment/1"
_NAME = re.compile(r"(\d{6})-(\d{6})-([0-9a-f]{32})\.zip")
_FACTS, _PIECE = "segment.json", "journal.part"
_INSIDE = re.compile(
    r"plan\.toml|run\.json|verdict\.json|signature\.json"
    r"|trials/[\w+-][\w.+-]*\.parquet|rows/[\w+-][\w.+-]*\.json"
)
LARGEST = 2**31
"""Bytes of a segment when it is unpacked."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment that is as it was written.

    Attributes:
        before: name of the segment before; empty for the first.
        begin: where its piece begins in the journal, in bytes: what was there is replaced.
        piece: of the journal, whole lines.
        files: their content, by path in the folder of the run.
    """

    before: str
    begin: int
    piece: bytes
    files: Mapping[str, bytes]


def place(name: str) -> tuple[int, int]:
    """Return the generation and the number of a segment; (0, 0) for another name."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def may_hold(path: str) -> bool:
    """Whether a segment may hold a file of a run."""
    return bool(_INSIDE.fullmatch(path))


def pack(generation: int, number: int, segment: Segment) -> tuple[str, bytes]:
    """Return the name and the content of a segment."""
    facts = {"schema": SCHEMA, "before": segment.before, "begin": segment.begin}
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        members = {_FACTS: json.dumps(facts).encode(), _PIECE: segment.piece, **segment.files}
        for name, content in members.items():
            # Parquet is compressed already.
            stored = name.endswith(".parquet")
            how = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name), content, how)
    content = sink.getvalue()
    return f"{generation:06}-{number:06}-{_digest(content)}.zip", content


def unpack(name: str, content: bytes) -> Segment | None:
    """Return a segment; None where it is not what its name says, or holds what none may hold."""
    match = _NAME.fullmatch(name)
    if match is None or match[3] != _digest(content):
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(member.file_size for member in archive.infolist()) > LARGEST:
                return None
            files = {member.filename: archive.read(member) for member in archive.infolist()}
        facts: dict[str, Any] = json.loads(files.pop(_FACTS))
        piece = files.pop(_PIECE)
        begin, before = int(facts["begin"]), str(facts["before"])
        whole = begin >= 0 and (not piece or piece.endswith(b"\n"))
        if facts["schema"] != SCHEMA or not whole or not all(map(may_hold, files)):
            return None
        return Segment(before, begin, piece, files)
    except (zipfile.BadZipFile, zlib.error, ValueError, KeyError, TypeError, RuntimeError, OSError):
        return None


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]

"""Server-sent events, read from bytes that come in any pieces."""

from __future__ import annotations

from collections.abc import Iterator

MOST_EVENT_BYTES = 2**18
"""Bytes of one event, at most."""

_BOM = b"\xef\xbb\xbf"


class BadEvents(ValueError):
    """Bytes that are not server-sent events, or an event that is too long."""


class EventReader:
    """Collects the data of events; lines may end in CR, LF or both, anywhere in a piece."""

    def __init__(self) -> None:
        """Begin before the first byte."""
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._began = False
        self._after_cr = False

    def feed(self, piece: bytes) -> Iterator[str]:
        """Take more bytes; yield the data of the events that are complete.

        Raises:
            BadEvents: an event is too long, or is not UTF-8.
        """
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
        if piece:
            self._after_cr = False
        text = self._rest + piece
        if not self._began and len(text) >= len(_BOM):
            self._began = True
            text = text.removeprefix(_BOM)
        if b"\r" in text:
            self._after_cr = text.endswith(b"\r")
            text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, self._rest = text.split(b"\n")
        for line in lines:
            if not line and not self._data:
                continue
            data = self._line(line)
            if data is not None:
                yield data
        if self._size + len(self._rest) > MOST_EVENT_BYTES:
            raise BadEvents("an event is too long")

    def finish(self) -> list[str]:
        """Return the data of an event that the end of the answer completes, if there is one.

        Raises:
            BadEvents: as :meth:`feed`.
        """
        complete = [self._line(self._rest), self._line(b"")]
        self._rest = b""
        return [data for data in complete if data is not None]

    def _line(self, line: bytes) -> str | None:
        if line:
            field, _, value = line.partition(b":")
            if field == b"data":
                value = value.removeprefix(b" ")
                self._size += len(value)
                if self._size > MOST_EVENT_BYTES:
                    raise BadEvents("an event is too long")
                self._data.append(value)
            return None
        if not self._data:
            return None
        lines = self._data
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        self._data, self._size = [], 0
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise BadEvents("an event is not UTF-8") from None

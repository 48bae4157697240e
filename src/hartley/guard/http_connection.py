"""One connection to the model's server: a request of HTTP/1.1 is written, its answer is read.

An answer whose length can be read in two ways is refused, and a connection on which anything came
that was not asked for is not used again, so that no part of an answer is taken for the next one's.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

MOST_HEAD = 65_536
"""Bytes of a head, and of the lines between chunks, at most."""

MOST_WAITING = 2**18
"""Bytes that wait to be read, before the server is made to wait."""

MOST_EARLY = 8
"""Answers such as 103 before the one that counts, at most."""

_STATUS = re.compile(rb"HTTP/1\.([01]) ([1-9]\d\d)(?: [^\r\n\0]*)?")
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n\0]*)?")
_BAD = re.compile(rb"[\r\n\0]")


class BadHttp(ValueError):
    """What came is not an answer of HTTP/1.1, or can be read in two ways."""


class ClosedConnection(OSError):
    """The server closed the connection.

    Attributes:
        silent: before any byte of the answer.
    """

    def __init__(self, *, silent: bool) -> None:
        """Keep when it was closed."""
        self.silent = silent
        super().__init__("the connection was closed")


class Connection(asyncio.Protocol):
    """A connection that carries one request at a time.

    Attributes:
        used: requests that it has carried before.
        idle_since: when its last answer ended, by the loop's clock.
        until: when the answer that it carries must have ended, by the loop's clock.
    """

    def __init__(self) -> None:
        """Begin without a transport: the loop gives it."""
        self.used = 0
        self.idle_since = self.until = 0.0
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._waiting = bytearray()
        self._reader: asyncio.Future[None] | None = None
        self._ended = self._broken = self._paused = False

    @property
    def usable(self) -> bool:
        """Whether another request can be written: it is open, and nothing waits on it."""
        return self._transport is not None and not (self._ended or self._waiting)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Keep bytes until they are read."""
        self._waiting += data
        if len(self._waiting) > MOST_WAITING and self._transport is not None and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        """Note that the server sends no more."""
        self._ended = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection is gone."""
        self._broken = self._broken or exc is not None
        self._ended, self._transport = True, None
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def close(self) -> None:
        """End the connection at once."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    def send(self, request: bytes) -> None:
        """Write a request.

        Raises:
            ClosedConnection: it cannot be written any more.
        """
        if self._transport is None or self._ended:
            raise ClosedConnection(silent=True)
        self._transport.write(request)

    async def more(self, seconds: float) -> bool:
        """Wait for more bytes than those that wait; return whether there may be some.

        Raises:
            TimeoutError: none came in time.
        """
        if self._ended:
            return False
        seconds = min(seconds, self.until - self._loop.time())
        if seconds <= 0.0:
            raise TimeoutError
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._reader = reader = self._loop.create_future()
        timer = self._loop.call_later(seconds, _late, reader)
        try:
            await reader
        finally:
            timer.cancel()
            self._reader = None
        return True

    def before(self, end: bytes) -> bytes | None:
        """Take and return the bytes before an end, which is dropped; None until it has come.

        Raises:
            BadHttp: there are too many.
        """
        at = self._waiting.find(end, 0, MOST_HEAD + len(end))
        if at < 0:
            if len(self._waiting) > MOST_HEAD:
                raise BadHttp("a head is too long")
            return None
        line = bytes(self._waiting[:at])
        del self._waiting[: at + len(end)]
        return line

    def take(self, most: int) -> bytes:
        """Take and return bytes that wait."""
        piece = bytes(self._waiting[:most])
        del self._waiting[:most]
        return piece

    @property
    def broken(self) -> bool:
        """Whether it ended by an error."""
        return self._broken

    @property
    def silent(self) -> bool:
        """Whether nothing has come that was not taken."""
        return not self._waiting


def _late(reader: asyncio.Future[None]) -> None:
    if not reader.done():
        reader.set_exception(TimeoutError())


class Answer:
    """An answer whose head has come.

    Attributes:
        status: of it.
        headers: by name in small letters; of two with one name, both with a comma between.
        content_length: bytes of the body, where the head says it.
        reusable: whether the connection may carry another request after it.
    """

    def __init__(self, connection: Connection, head: bytes, seconds: float) -> None:
        """Read a head.

        Args:
            connection: that carries it.
            head: without the empty line at its end.
            seconds: for which more of it is waited for.

        Raises:
            BadHttp: it is not valid, or says the length of its body in two ways.
        """
        self._connection, self._seconds = connection, seconds
        first, *lines = head.split(b"\r\n")
        status = _STATUS.fullmatch(first)
        if status is None:
            raise BadHttp("the first line is not valid")
        self.status = int(status[2])
        self.headers: dict[str, str] = {}
        for line in lines:
            name, colon, value = line.partition(b":")
            value = value.strip(b" \t")
            if not colon or _NAME.fullmatch(name) is None or _BAD.search(value):
                raise BadHttp("a header is not valid")
            key, text = name.decode("ascii").lower(), value.decode("latin-1")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text
        self._chunked = "transfer-encoding" in self.headers
        self.content_length = self._length()
        if self._chunked:
            coding = self.headers["transfer-encoding"].lower()
            if coding != "chunked" or status[1] == b"0" or self.content_length is not None:
                raise BadHttp("the body's length can be read in two ways")
        if self.status in (204, 304):
            self._chunked, self.content_length = False, 0
        words = {word.strip().lower() for word in self.headers.get("connection", "").split(",")}
        lasting = "close" not in words if status[1] == b"1" else "keep-alive" in words
        self.reusable = lasting and (self._chunked or self.content_length is not None)
        self.ended = self.content_length == 0
        # Bytes of the body or of the chunk that are still to come; None where nothing says it.
        self._left = self.content_length
        self._trailing = 0
        self._fault: BadHttp | None = None

    def _length(self) -> int | None:
        text = self.headers.get("content-length")
        if text is None:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) <= 15):
            raise BadHttp("the body's length is not a number")
        return int(text)

    @property
    def content_type(self) -> str:
        """Kind of the body, without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the body as they come; chunks that came together are joined.

        Raises:
            BadHttp: it is not as its head says.
            ClosedConnection, TimeoutError: its end did not come.
        """
        while True:
            piece = self._come()
            if piece:
                yield piece
            elif self._fault is not None:
                raise self._fault
            elif self.ended:
                return
            elif not await self._connection.more(self._seconds):
                if self._chunked or self._left is not None or self._connection.broken:
                    raise ClosedConnection(silent=False)
                self.ended = True

    def _come(self) -> bytes:
        """Take and return what has come of the body."""
        if self._chunked:
            parts: list[bytes] = []
            try:
                while not self.ended and self._fault is None and self._chunk(parts):
                    pass
            except BadHttp as fault:
                # What came before it is given first, in whatever pieces it came.
                self._fault = fault
            return b"".join(parts)
        if self._left is None:
            return self._connection.take(MOST_WAITING)
        piece = self._connection.take(self._left)
        self._left -= len(piece)
        self.ended = not self._left
        return piece

    def _chunk(self, parts: list[bytes]) -> bool:
        """Take the next part of a chunked body; return whether there was one.

        Raises:
            BadHttp: it is not valid.
        """
        if self._left:
            piece = self._connection.take(self._left)
            parts.append(piece)
            self._left -= len(piece)
            return bool(piece)
        line = self._connection.before(b"\r\n")
        if line is None:
            return False
        if self._left == 0:
            if line:
                raise BadHttp("a chunk is longer than its size")
            self._left = None
        elif self._trailing:
            self._trailing += len(line)
            self.ended = not line
            if self._trailing > MOST_HEAD:
                raise BadHttp("the lines after the last chunk are too long")
        else:
            size = _SIZE.fullmatch(line)
            if size is None:
                raise BadHttp("the size of a chunk is not valid")
            self._left = int(size[1], 16) or None
            self._trailing = int(self._left is None)
        return True

    def ended_now(self) -> bool:
        """Whether the end of the body has come; what has come of it is dropped."""
        if not self.ended:
            self._come()
        return self.ended

    def close(self) -> None:
        """Leave the answer: where its end has not come, its connection is closed."""
        if not self.ended_now():
            self._connection.close()


async def answered(connection: Connection, seconds: float) -> Answer:
    """Return the answer to the request that was sent, once its head has come.

    Raises:
        BadHttp: it is not valid.
        ClosedConnection, TimeoutError: it did not come.
    """
    for _ in range(MOST_EARLY):
        while (head := connection.before(b"\r\n\r\n")) is None:
            if not await connection.more(seconds):
                raise ClosedConnection(silent=connection.silent)
        answer = Answer(connection, head, seconds)
        if answer.status >= 200:
            return answer
        if answer.status == 101:
            raise BadHttp("another protocol was not asked for")
    raise BadHttp("too many early answers")

"""The model's side: requests that the guard writes anew, answers of limited size and time.

Nothing of a client's request but its body is forwarded: no header, no query, no path of theirs.
Redirects are not followed, proxies of the environment are not used, cookies are not kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Coroutine
from typing import Any
from urllib.parse import urlsplit

from hartley.core.errors import UsageError
from hartley.guard.config import GuardConfig
from hartley.guard.http_connection import Answer, BadHttp, ClosedConnection, Connection, answered

MOST_ANSWER_BYTES = 16 * 2**20
"""Bytes of a whole answer; a longer one is a failure of the model's server."""

CONNECT_S = 10.0
"""Seconds in which the model's server must accept a connection."""

IDLE_S = 4.0
"""Seconds that an idle connection is kept: less than the 5 of common servers, which close it."""

EYEBALLS_S = 0.25
"""Seconds after which the next address of the server is tried beside the first."""

LAST_S, MOST_LAST_BYTES = 1.0, 4096
"""Seconds and bytes that may come after all of an answer, until its connection is closed."""

LONGEST = 10
"""An answer takes this many times ``timeout_s`` in all, at most."""


class UpstreamFault(Exception):
    """The model's server did not give an answer.

    Attributes:
        kind: ``unreachable``, ``late``, ``broken`` (it ended in the middle), ``long`` (more bytes
            than allowed) or ``rubbish`` (not what the protocol says).
    """

    def __init__(self, kind: str) -> None:
        """Keep what happened."""
        self.kind = kind
        super().__init__(kind)


class Upstream:
    """One server with a model, and the connections to it that are idle."""

    def __init__(self, config: GuardConfig) -> None:
        """Remember where it is; nothing is connected yet."""
        self._seconds = config.timeout_s
        parts = urlsplit(config.upstream)
        self._secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._secure else 80)
        self._path = parts.path
        self._idle: list[Connection] = []
        self._tls: ssl.SSLContext | None = None
        self._open: set[Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        lines = [
            f"Host: {_ascii(parts.netloc.rpartition('@')[2])}",
            "Accept-Encoding: identity",
            "User-Agent: hartley-guard",
        ]
        if config.upstream_key:
            lines.append(f"Authorization: Bearer {config.upstream_key}")
        self._headers = "".join(f"{line}\r\n" for line in lines)
        if any(sign in line for line in lines for sign in "\r\n\0"):
            raise UsageError("the model's address and key must be of one line")

    async def start(self) -> None:
        """Prepare for connections, inside the event loop that uses them."""
        if self._secure:
            self._tls = ssl.create_default_context()

    async def close(self) -> None:
        """Close every connection."""
        for task in self._tasks:
            task.cancel()
        for connection in list(self._open):
            connection.close()
        self._open.clear()

    async def ask(self, path: str, body: bytes | None) -> Reply:
        """Send a request and return the response when its headers have come.

        A connection that the server had closed while it was idle is replaced.

        Args:
            path: below the model's address, such as ``/chat/completions``.
            body: JSON; None asks with GET.

        Raises:
            UpstreamFault: there is no response.
        """
        method = "GET" if body is None else "POST"
        more = "" if body is None else _body_headers(body)
        head = f"{method} {self._path}{path} HTTP/1.1\r\n{self._headers}{more}\r\n"
        request = head.encode("latin-1") + (body or b"")
        while True:
            connection = self._idle_one() or await self._connected()
            connection.until = asyncio.get_running_loop().time() + LONGEST * self._seconds
            try:
                connection.send(request)
                answer = await answered(connection, self._seconds)
            except ClosedConnection as error:
                self._leave(connection)
                if not (connection.used and error.silent):
                    raise UpstreamFault("broken") from error
            except TimeoutError as error:
                self._leave(connection)
                raise UpstreamFault("late") from error
            except BadHttp as error:
                self._leave(connection)
                raise UpstreamFault("rubbish") from error
            except BaseException:
                self._leave(connection)
                raise
            else:
                connection.used += 1
                return Reply(self, connection, answer)

    def _idle_one(self) -> Connection | None:
        """Return the connection that was used last, if it can be used again."""
        oldest = asyncio.get_running_loop().time() - IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and connection.idle_since >= oldest:
                return connection
            self._leave(connection)
        return None

    async def _connected(self) -> Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    Connection,
                    self._host,
                    self._port,
                    ssl=self._tls,
                    happy_eyeballs_delay=EYEBALLS_S,
                )
        except TimeoutError as error:
            raise UpstreamFault("late") from error
        except (OSError, UnicodeError) as error:
            raise UpstreamFault("unreachable") from error
        self._open.add(connection)
        return connection

    def give_back(self, connection: Connection, *, reusable: bool) -> None:
        """Take a connection whose answer was left."""
        if not (reusable and connection.usable and connection in self._open):
            self._leave(connection)
            return
        connection.idle_since = now = asyncio.get_running_loop().time()
        self._idle.append(connection)
        while self._idle[0].idle_since < now - IDLE_S:
            self._leave(self._idle.pop(0))

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something beside the requests."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _leave(self, connection: Connection) -> None:
        self._open.discard(connection)
        connection.close()


class Reply:
    """The response to one request.

    Attributes:
        status: of HTTP.
        headers: by name in small letters.
        content_length: bytes of its body, where it says so.
        content_type: of its body, without parameters.
    """

    def __init__(self, upstream: Upstream, connection: Connection, answer: Answer) -> None:
        """Take a response whose head has come."""
        self._upstream, self._connection, self._answer = upstream, connection, answer
        self.status, self.headers = answer.status, answer.headers
        self.content_length, self.content_type = answer.content_length, answer.content_type
        self._left = False

    def pieces(self) -> AsyncIterator[bytes]:
        """Return the bytes of the body as they come; see :meth:`Answer.pieces`."""
        return self._answer.pieces()

    def close(self, *, complete: bool = False) -> None:
        """Leave it; a connection whose answer has ended is kept for another request.

        Args:
            complete: all that was asked for has come, and the end of the body is waited for a
                moment; otherwise the model's server sees the connection end.
        """
        if self._left:
            return
        self._left = True
        answer = self._answer
        if complete and answer.reusable and not answer.ended_now():
            self._upstream.later(self._end())
            return
        answer.close()
        reusable = answer.ended and answer.reusable
        self._upstream.give_back(self._connection, reusable=reusable)

    async def _end(self) -> None:
        """Wait for the end of the body."""
        total = 0
        with contextlib.suppress(BadHttp, OSError):
            async with asyncio.timeout(LAST_S):
                async for piece in self._answer.pieces():
                    total += len(piece)
                    if total > MOST_LAST_BYTES:
                        break
        self._answer.close()
        self._upstream.give_back(self._connection, reusable=self._answer.ended)


def _ascii(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode()


def _body_headers(body: bytes) -> str:
    return f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"


async def pieces(response: Reply, limit: int = MOST_ANSWER_BYTES) -> AsyncIterator[bytes]:
    """Yield the bytes of an answer as they come.

    Args:
        response: of :meth:`Upstream.ask`.
        limit: bytes in all, at most.

    Raises:
        UpstreamFault: the answer broke off, was late or is longer.
    """
    total = 0
    try:
        async for piece in response.pieces():
            total += len(piece)
            if total > limit:
                raise UpstreamFault("long")
            yield piece
    except TimeoutError as error:
        raise UpstreamFault("late") from error
    except BadHttp as error:
        raise UpstreamFault("rubbish") from error
    except OSError as error:
        raise UpstreamFault("broken") from error


async def whole(response: Reply, limit: int = MOST_ANSWER_BYTES) -> bytes:
    """Return all bytes of an answer.

    Raises:
        UpstreamFault: as :func:`pieces`, and where its declared length is over the limit.
    """
    if (response.content_length or 0) > limit:
        raise UpstreamFault("long")
    parts = [piece async for piece in pieces(response, limit)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def plain(response: Reply) -> bool:
    """Whether a response's bytes are its text, and not compressed."""
    return response.headers.get("content-encoding", "identity").lower() in ("", "identity")

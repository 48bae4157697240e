"""The model's side: requests that the guard writes anew, answers of limited size and time.

Nothing of a client's request but its body is forwarded: no header, no query, no path of theirs.
Redirects are not followed, proxies of the environment are not used, cookies are not kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from hartley.guard.config import GuardConfig

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession

MOST_ANSWER_BYTES = 16 * 2**20
"""Bytes of a whole answer; a longer one is a failure of the model's server."""

CONNECT_S = 10.0
"""Seconds in which the model's server must accept a connection."""

IDLE_S = 4.0
"""Seconds that an idle connection is kept: less than the 5 of common servers, which close it."""

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
    """One server with a model."""

    def __init__(self, config: GuardConfig) -> None:
        """Remember where it is; nothing is connected yet."""
        self._config = config
        self._session: ClientSession | None = None
        self._headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "hartley-guard",
        }
        if config.upstream_key:
            self._headers["Authorization"] = f"Bearer {config.upstream_key}"

    async def start(self) -> None:
        """Open the session, inside the event loop that uses it."""
        import aiohttp

        config = self._config
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S, ttl_dns_cache=60),
            timeout=aiohttp.ClientTimeout(
                total=LONGEST * config.timeout_s,
                sock_connect=CONNECT_S,
                sock_read=config.timeout_s,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers=self._headers,
            skip_auto_headers=("Accept",),
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, path: str, body: bytes | None) -> ClientResponse:
        """Send a request and return the response when its headers have come.

        A connection that the server had closed while it was idle is replaced once.

        Args:
            path: below the model's address, such as ``/chat/completions``.
            body: JSON; None asks with GET.

        Raises:
            UpstreamFault: there is no response.
        """
        import aiohttp

        if self._session is None:
            raise UpstreamFault("unreachable")
        method = "GET" if body is None else "POST"
        url = self._config.upstream + path
        for last in (False, True):
            try:
                return await self._session.request(method, url, data=body, allow_redirects=False)
            except aiohttp.ServerDisconnectedError as error:
                if last:
                    raise UpstreamFault("broken") from error
            except aiohttp.ClientConnectorError as error:
                raise UpstreamFault("unreachable") from error
            except TimeoutError as error:
                raise UpstreamFault("late") from error
            except (aiohttp.ClientPayloadError, aiohttp.ClientOSError) as error:
                raise UpstreamFault("broken") from error
            except (aiohttp.ClientError, ValueError) as error:
                raise UpstreamFault("rubbish") from error
        raise UpstreamFault("broken")


async def pieces(response: ClientResponse, limit: int = MOST_ANSWER_BYTES) -> AsyncIterator[bytes]:
    """Yield the bytes of an answer as they come.

    Args:
        response: of :meth:`Upstream.ask`.
        limit: bytes in all, at most.

    Raises:
        UpstreamFault: the answer broke off, was late or is longer.
    """
    import aiohttp

    total = 0
    try:
        async for piece in response.content.iter_any():
            total += len(piece)
            if total > limit:
                raise UpstreamFault("long")
            yield piece
    except TimeoutError as error:
        raise UpstreamFault("late") from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientOSError, ConnectionError) as error:
        raise UpstreamFault("broken") from error
    except (aiohttp.ClientError, ValueError) as error:
        raise UpstreamFault("rubbish") from error


async def whole(response: ClientResponse, limit: int = MOST_ANSWER_BYTES) -> bytes:
    """Return all bytes of an answer.

    Raises:
        UpstreamFault: as :func:`pieces`, and where its declared length is over the limit.
    """
    if (response.content_length or 0) > limit:
        raise UpstreamFault("long")
    parts = [piece async for piece in pieces(response, limit)]
    return parts[0] if len(parts) == 1 else b"".join(parts)


def plain(response: ClientResponse) -> bool:
    """Whether a response's bytes are its text, and not compressed."""
    coding: Any = response.headers.get("Content-Encoding", "identity")
    return str(coding).strip().lower() in ("", "identity")

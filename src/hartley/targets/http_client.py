"""JSON over HTTP to one host: where it may go, what is tried again, and what never leaves.

Only the standard library is used. Redirects and proxies are not followed, so that nothing reaches
another host than the one in the address. The key is read from the environment when a request is
sent and is kept nowhere else.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import json
import os
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from queue import Empty, LifoQueue
from typing import Any
from urllib.parse import urlsplit

from hartley.core.errors import RunError, TransientError, UsageError
from hartley.kit.retry import Backoff, retried
from hartley.kit.training_news import Pace

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504, 529})
"""Statuses of a server that is busy or restarting."""

FINAL = ("insufficient_quota", "billing_hard_limit_reached")
"""Codes of errors that come with status 429 and do not pass by waiting."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where requests go.

    Attributes:
        scheme: http or https.
        host: name or number.
        port: of the host.
        path: what every path begins with, without a slash at its end.
    """

    scheme: str
    host: str
    port: int
    path: str


def permitted(url: str, allow_hosts: Sequence[str] = (), *, secret: bool = False) -> Address:
    """Return the parts of an address that requests may be sent to.

    Args:
        url: ``http://127.0.0.1:8000/v1`` or the like.
        allow_hosts: hosts besides this machine that the user allows.
        secret: a key goes with each request: then another host must speak https.

    Raises:
        UsageError: an address that is not http(s), that carries a name or a key, or a host that
            is neither this machine nor allowed.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host:
        raise UsageError(f"url must be http://… or https://… with a host, got {_bare(url)!r}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(
            f"url must not carry a name, a key or a query, got {_bare(url)!r} with one: "
            "keys come from an environment variable (key_env=…)"
        )
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise UsageError(f"url must have a port of 1 to 65535, got {_bare(url)!r}") from None
    if not _here(host):
        if host not in allow_hosts:
            raise UsageError(
                f"host must be this machine or allowed, got {host!r}: records would leave this "
                f"machine; allow it with allow_hosts=[{host!r}] (--allow-host {host})"
            )
        if secret and parts.scheme != "https":
            raise UsageError(f"url must be https where a key goes to another host, got {host!r}")
    return Address(parts.scheme, host, port, parts.path.rstrip("/"))


def _bare(url: str) -> str:
    """An address as it may be printed: without a name, a key or a query."""
    parts = urlsplit(url)
    if not parts.netloc:
        return url.rpartition("@")[2].partition("?")[0]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Reply:
    """What one request was answered with.

    Attributes:
        body: the JSON document.
        seconds: from sending to the end of the answer, of the try that was answered.
        lost: tries before it that were sent and whose answer was lost on the way (time-out, broken
            connection, half an answer). The server may have worked, and charged, for each.
    """

    body: Mapping[str, Any]
    seconds: float
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Client:
    """Sends JSON to one host, several requests at a time.

    Attributes:
        address: where to.
        key_env: the environment variable that holds the key; empty sends none.
        timeout: seconds without a byte before a try has failed.
        concurrency: requests at a time, at most.
        backoff: how failures that may pass are tried again.
    """

    address: Address
    key_env: str = ""
    timeout: float = 60.0
    concurrency: int = 4
    backoff: Backoff = field(default_factory=Backoff)
    _idle: LifoQueue[http.client.HTTPConnection] = field(default_factory=LifoQueue, repr=False)

    def post_all(
        self, path: str, bodies: Sequence[Mapping[str, Any]]
    ) -> tuple[list[Reply], Exception | None]:
        """Send requests, several at a time.

        Returns:
            The replies in the order of the requests, and None; or, where one failed for good, the
            replies that had come until then (they cost what they cost) and the failure.
        """
        if not bodies:
            return [], None
        replies: list[Reply] = []
        failure: Exception | None = None
        pace = Pace(len(bodies), "request to the endpoint")
        pool = ThreadPoolExecutor(min(self.concurrency, len(bodies)))
        try:
            pending = [pool.submit(self.post, path, body) for body in bodies]
            for done, future in enumerate(pending):
                if len(bodies) > 1:
                    pace.begin(lambda done=done: done)  # type: ignore[misc]
                try:
                    if not future.cancelled():
                        replies.append(future.result())
                except Exception as error:
                    failure = failure or error
                    for other in pending:
                        other.cancel()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            self._close_idle()
        return replies, failure

    def post(self, path: str, body: Mapping[str, Any]) -> Reply:
        """Send one request, again where its failure may pass.

        Raises:
            UsageError: the environment does not hold the key.
            RunError: it failed at every attempt, or in a way that does not pass.
        """
        content = json.dumps(body, sort_keys=True).encode()
        name = f"{path} {hashlib.sha256(content).hexdigest()}"
        key, lost = self._key(), list[str]()
        try:
            reply = retried(lambda: self._sent(path, content, key, lost), name, self.backoff)
        except RunError as error:
            raise RunError(f"{self._where(path)}: {_hidden(str(error), key)}") from None
        return replace(reply, lost=len(lost))

    def _where(self, path: str) -> str:
        return f"{self.address.scheme}://{self.address.host}:{self.address.port}" + (
            f"{self.address.path}{path}"
        )

    def _key(self) -> str:
        if not self.key_env:
            return ""
        key = os.environ.get(self.key_env, "")
        if not key:
            raise UsageError(f"the environment variable {self.key_env} must hold the key")
        return key

    def _sent(self, path: str, content: bytes, key: str, lost: list[str]) -> Reply:
        """Send a request once; one whose answer is lost is written into ``lost``."""
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if key:
            headers["Authorization"] = f"Bearer {key}"
        started = time.perf_counter()
        try:
            status, wait, answer = self._exchanged(path, content, headers, lost)
        except (ssl.SSLCertVerificationError, UnicodeError) as error:
            raise RunError(f"{type(error).__name__}: {error}") from error
        except (OSError, http.client.HTTPException) as error:
            failure = _lost(error)
            if not isinstance(error, (ConnectionRefusedError, socket.gaierror)):
                lost.append(str(failure))
            raise failure from error
        seconds = time.perf_counter() - started
        if status != 200:
            raise _refused(status, wait, answer)
        try:
            body = json.loads(answer)
        except ValueError as error:
            reason = f"the answer must be JSON, got {_excerpt(answer)}"
            if answer.lstrip()[:1] in (b"{", b""):
                # Half an answer: where no length was stated, nothing else says that it was cut.
                lost.append(reason)
                raise TransientError(reason) from error
            raise RunError(reason) from error
        if not isinstance(body, dict):
            raise RunError(f"the answer must be a JSON object, got {_excerpt(answer)}")
        if "choices" not in body and body.get("error"):
            raise _failed(body["error"], answer)
        return Reply(body, seconds)

    def _exchanged(
        self, path: str, content: bytes, headers: Mapping[str, str], lost: list[str]
    ) -> tuple[int, float, bytes]:
        """Status, seconds to wait, and answer; a connection that was kept may be gone."""
        try:
            connection = self._idle.get_nowait()
        except Empty:
            return self._over(self._connection(), path, content, headers)
        try:
            return self._over(connection, path, content, headers)
        except (ConnectionError, http.client.RemoteDisconnected, http.client.CannotSendRequest):
            # Whether the server had read the request before it closed the connection, nobody knows.
            lost.append("the connection was closed")
            return self._over(self._connection(), path, content, headers)

    def _close_idle(self) -> None:
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _connection(self) -> http.client.HTTPConnection:
        place = self.address.host, self.address.port
        if self.address.scheme == "https":
            return http.client.HTTPSConnection(*place, timeout=self.timeout)
        return http.client.HTTPConnection(*place, timeout=self.timeout)

    def _over(
        self,
        connection: http.client.HTTPConnection,
        path: str,
        content: bytes,
        headers: Mapping[str, str],
    ) -> tuple[int, float, bytes]:
        try:
            connection.request("POST", f"{self.address.path}{path}", content, dict(headers))
            response = connection.getresponse()
            answer = response.read()
        except BaseException:
            connection.close()
            raise
        if response.will_close or self._idle.qsize() >= self.concurrency:
            connection.close()
        else:
            self._idle.put(connection)
        return response.status, _seconds(response.headers.get("Retry-After")), answer


def _lost(error: Exception) -> RunError:
    """A connection that failed: a name that nobody has is final, all else may pass."""
    reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    if isinstance(error, socket.gaierror) and error.errno != socket.EAI_AGAIN:
        return RunError(f"the host is not known ({reason})")
    return TransientError(f"the connection was lost ({reason})")


def _refused(status: int, wait: float, answer: bytes) -> RunError:
    reason = f"status {status}: {_message(answer)}"
    if status in PASSING and not any(code.encode() in answer for code in FINAL):
        return TransientError(reason, wait)
    return RunError(reason)


def _failed(error: Any, answer: bytes) -> RunError:
    """An error that a gateway passes on with status 200."""
    code = error.get("code") if isinstance(error, Mapping) else None
    return _refused(code if isinstance(code, int) else 200, 0.0, answer)


def _message(answer: bytes) -> str:
    """Return a server's message about an error, in one line."""
    try:
        error = json.loads(answer)["error"]
        reason = error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        return _excerpt(answer)
    return " ".join(str(reason).split())[:200]


def _excerpt(answer: bytes) -> str:
    return repr(answer[:80].decode(errors="replace"))


def _seconds(header: str | None) -> float:
    """The wait that a server asks for; dates are left to the back-off."""
    try:
        return max(0.0, float(header)) if header else 0.0
    except ValueError:
        return 0.0


def _hidden(text: str, key: str) -> str:
    return text.replace(key, "***") if key else text

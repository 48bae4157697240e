"""Listening: at a loopback address unless another is asked for, and with a token."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import re
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from html import escape
from pathlib import Path

from aiohttp import web

from hartley.core.errors import UsageError
from hartley.web.access import LOOPBACK, Access
from hartley.web.pages import Pages

_NAME = re.compile(r"([\w-]+(\.[\w-]+)*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?", re.ASCII)
"""A host as browsers name it, with a port or without."""

_FAREWELL = 3.0
"""Seconds that pages which are being made have, once the server is to end."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_any(host: str) -> bool:
    """Whether a host stands for all addresses of a machine, by which no browser calls it."""
    try:
        return socket.inet_aton(host) == bytes(4)  # 0.0.0.0, and 0, which means the same
    except OSError:
        pass
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def access_of(host: str, port: int, *, token: bool, names: Sequence[str] = ()) -> Access:
    """Return the rule of reading.

    Args:
        host: where the server listens.
        port: where the server listens.
        token: draw one.
        names: further names by which browsers call the server, each HOST or HOST:PORT; without a
            port they may also be those of a proxy in front of it.

    Raises:
        UsageError: other machines could read without a token, or no name is known to them; a host
            or name that cannot be.
    """
    if not host:
        raise UsageError("--host must be a host name or an address, got an empty one")
    for name in names:
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"--name must be a host as a browser names it, HOST or HOST:PORT, got {name!r}"
            )
    loopback = is_loopback(host)
    if not token and not loopback:
        raise UsageError(
            f"--no-token is for a loopback address, which only this machine reaches, got {host}"
        )
    if is_any(host) and not names:
        raise UsageError(
            f"with --host {host} there must be a --name by which browsers call this machine, "
            "such as its host name"
        )
    called = [*(() if is_any(host) else (_in_address(host),)), *(LOOPBACK if loopback else ())]
    allowed = {f"{name.lower()}:{port}" for name in called}
    allowed |= {name.lower() for name in called} if port == 80 else set()
    for name in (name.lower() for name in names):
        allowed |= {name} if _has_port(name) else {name, f"{name}:{port}"}
    drawn = secrets.token_urlsafe(24) if token else None
    return Access(drawn, frozenset(allowed), f"hartley-{port}")


def listening(host: str, port: int) -> socket.socket:
    """Return a socket at an address.

    Raises:
        UsageError: the address cannot be listened at.
    """
    if not 0 <= port <= 65535:
        raise UsageError(f"--port must be in 0..65535, got {port}")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError(
                f"--port must be free, got {port} of {host}, where another program listens; "
                "--port 0 takes any"
            ) from None
        words = error.strerror or str(error)
        raise UsageError(f"cannot listen at {host}:{port}: {words}") from None


def start_address(access: Access, host: str, port: int, names: Sequence[str] = ()) -> str:
    """Return the address that opens the pages, with the token in it."""
    name = names[0] if names else _in_address(host)
    ending = "" if access.token is None else f"?token={access.token}"
    return f"http://{name if _has_port(name) else f'{name}:{port}'}/{ending}"


@contextmanager
def opening(address: str) -> Iterator[str]:
    """Yield what a browser is started with: a file that leads to an address.

    The command line of a browser, with the token in it, could be read by everybody on this machine.
    """
    folder = Path(tempfile.mkdtemp(prefix="hartley-"))  # of this user alone
    try:
        page = folder / "open.html"
        page.write_text(
            f'<!doctype html><html lang="en"><title>Hartley</title><meta http-equiv="refresh" '
            f'content="0;url={escape(address)}"><a href="{escape(address)}">Open the runs</a>'
            "</html>\n",
            encoding="utf-8",
        )
        yield page.as_uri()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def serve(at: socket.socket, pages: Pages, access: Access, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM. Pages that are being made then may go on; see ``leave``.

    Args:
        at: where to listen.
        pages: what is served.
        access: the rule of reading.
        ready: called once requests are taken.
    """
    asyncio.run(_serve(at, pages, access, ready))


async def _serve(
    at: socket.socket, pages: Pages, access: Access, ready: Callable[[], None]
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(
        pages.app(access), access_log=None, handle_signals=False, shutdown_timeout=1.0
    )
    try:
        await runner.setup()
        await web.SockSite(runner, at).start()
        ready()
        pages.warm_up()
        await stop.wait()
    finally:
        await runner.cleanup()


def leave(pages: Pages) -> None:
    """End this process where a page is still being made after a while: nothing is lost by it."""
    if not pages.wait(_FAREWELL):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _has_port(name: str) -> bool:
    """Whether a name ends with a port; an address of IPv6 is in brackets."""
    return name.rpartition(":")[2].isdigit() and not name.endswith("]") and ":" in name

"""Listening: at a loopback address unless another is asked for, and with a token."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import secrets
import signal
import socket
from collections.abc import Callable, Sequence

from aiohttp import web

from hartley.core.errors import UsageError
from hartley.web.access import LOOPBACK, Access
from hartley.web.pages import Pages

ANY = ("0.0.0.0", "::")
"""Hosts that stand for all addresses of a machine, by which no browser calls it."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def access_of(host: str, port: int, *, token: bool, names: Sequence[str] = ()) -> Access:
    """Return the rule of reading.

    Args:
        host: where the server listens.
        port: where the server listens.
        token: draw one.
        names: further names by which browsers call the server.

    Raises:
        UsageError: other machines could read without a token, or no name is known to them.
    """
    loopback = is_loopback(host)
    if not token and not loopback:
        raise UsageError(
            f"--no-token is for a loopback address, which only this machine reaches, got {host}"
        )
    if host in ANY and not names:
        raise UsageError(
            f"with --host {host} there must be a --name by which browsers call this machine, "
            "such as its host name"
        )
    called = [*names, *(() if host in ANY else (_in_address(host),))]
    called += LOOPBACK if loopback else ()
    allowed = {f"{name.lower()}:{port}" for name in called}
    allowed |= {name.lower() for name in called} if port == 80 else set()
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
    return f"http://{name}:{port}/{ending}"


def serve(at: socket.socket, pages: Pages, access: Access, ready: Callable[[], None]) -> None:
    """Serve until SIGINT or SIGTERM.

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
        warming = asyncio.create_task(asyncio.to_thread(pages.warm))
        await stop.wait()
        await warming
    finally:
        await runner.cleanup()


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host

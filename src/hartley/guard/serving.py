"""Serving: where the guard listens, and how it ends without losing what runs."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from aiohttp import web

from hartley.core.errors import UsageError
from hartley.guard.config import GuardConfig
from hartley.guard.judge.window_judge import WindowJudge
from hartley.guard.proxy import Guard
from hartley.guard.stream_judge import ResponseJudge
from hartley.guard.streaming import Judging, Unjudged

DRAIN_S = 30.0
"""Seconds that answers may take after SIGTERM, before they are cut."""

SWITCH_S = 0.0005
"""Seconds after which Python's threads change places: the ledger writes in one of its own, and
would wait the default of 5 ms for each of its steps while an answer is judged."""

PATIENCE_S = 0.02
"""Seconds for which the record of an answer's end waits, to be written with the next charge."""

BACKLOG = 1024
"""Connections that may wait to be taken."""

LINGER_S = 1.0
"""Seconds for which the rest of a body is read and dropped that was refused."""


def listening(config: GuardConfig) -> socket.socket:
    """Return a socket at the configured address, before anything else is begun.

    Raises:
        UsageError: the address cannot be listened at.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise UsageError(_unavailable(config, error)) from None


async def serve(
    at: socket.socket, proxy: Guard, ready: Callable[[int], None], stop: asyncio.Event
) -> None:
    """Serve until an event is set; then finish what runs.

    Args:
        at: where to listen.
        proxy: what answers.
        ready: called with the port once requests are taken.
        stop: ends it.
    """
    sys.setswitchinterval(SWITCH_S)
    await proxy.start()
    server = web.Server(
        proxy.handle,
        access_log=None,
        handler_cancellation=True,
        auto_decompress=False,
        lingering_time=LINGER_S,
    )
    runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=1.0)
    try:
        await runner.setup()
        site = web.SockSite(runner, at, backlog=BACKLOG)
        await site.start()
        # What was made until now stays: a collection would walk it and hold up answers.
        gc.collect()
        gc.freeze()
        ready(runner.addresses[0][1])
        await stop.wait()
        proxy.draining = True
        await site.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_S):
                while proxy.active:
                    await asyncio.sleep(0.02)
    finally:
        await runner.cleanup()
        await proxy.close()


def judges_of(config: GuardConfig) -> Callable[[Sequence[str]], Judging]:
    """Return what makes the judge of one response.

    Raises:
        UsageError: the secrets cannot be searched for.
    """
    if not config.secrets:
        return lambda _before: Unjudged()
    window = WindowJudge(
        [secret.text for secret in config.secrets], [secret.name for secret in config.secrets]
    )
    return lambda before: ResponseJudge(window, before=before)


def _unavailable(config: GuardConfig, error: OSError) -> str:
    place = f"{config.host}:{config.port}"
    if error.errno == errno.EADDRINUSE:
        return f"listen must be a free address, got {place}, where another program listens"
    return f"listen must be an address of this machine, got {place}: {error.strerror or error}"


def stop_at_signals(stop: asyncio.Event) -> None:
    """Set an event at SIGTERM and SIGINT; a second signal ends the process at once."""
    loop = asyncio.get_running_loop()

    def begin(number: signal.Signals) -> None:
        stop.set()
        loop.remove_signal_handler(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, begin, number)

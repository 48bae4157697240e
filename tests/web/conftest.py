"""A store with every kind of run, and a server over it."""

from __future__ import annotations

import os
import shutil
import threading
from asyncio import new_event_loop
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.stores import fill


@pytest.fixture(scope="session")
def filled(tmp_path_factory: Any) -> Path:
    """A store that no test may write into."""
    store = tmp_path_factory.mktemp("web") / "runs"
    fill(store)
    return store


def state_of(store: Path) -> dict[str, tuple[int, int]]:
    """When each file of a store was changed, and its size."""
    return {
        str(path): (path.stat().st_mtime_ns, path.stat().st_size)
        for folder, _, names in os.walk(store)
        for path in (store / folder / name for name in names)
    }


@pytest.fixture(scope="session")
def as_filled(filled: Path) -> dict[str, tuple[int, int]]:
    """The state of the store before any page read it."""
    return state_of(filled)


@pytest.fixture
def store(filled: Path, tmp_path: Path) -> Path:
    """A copy of it without its largest run, which a test may write into."""
    few = shutil.ignore_patterns("many")
    return Path(shutil.copytree(filled, tmp_path / "runs", symlinks=True, ignore=few))


class Served:
    """A server in a thread.

    Attributes:
        port: where it listens.
        token: what its start address carries; None without one.
    """

    def __init__(self, store: Path, *, token: bool = True) -> None:
        from aiohttp import web

        from hartley.web.pages import pages_of
        from hartley.web.serving import access_of, listening

        socket = listening("127.0.0.1", 0)
        self.port = socket.getsockname()[1]
        access = access_of("127.0.0.1", self.port, token=token)
        self.token = access.token
        self.loop = new_event_loop()
        runner = web.AppRunner(pages_of(store).app(access), access_log=None)
        ready = threading.Event()

        async def start() -> None:
            await runner.setup()
            await web.SockSite(runner, socket).start()
            ready.set()

        def run() -> None:
            self.loop.run_until_complete(start())
            self.loop.run_forever()
            self.loop.run_until_complete(runner.cleanup())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()

        self.thread = threading.Thread(target=run)
        self.thread.start()
        assert ready.wait(10)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture(scope="session")
def served(filled: Path, as_filled: Any) -> Iterator[Served]:
    """A server over the store that no test writes into."""
    server = Served(filled)
    yield server
    server.stop()


@pytest.fixture
def serve(store: Path) -> Iterator[Served]:
    """A server over the copy."""
    server = Served(store)
    yield server
    server.stop()

"""What a command asks of a store at a URL; a process beside it does it."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from hartley.core.errors import DamagedRun, StoreError
from hartley.store.remote.carrier import Carrier
from hartley.store.remote.spool import Spool, spool_of

FIRST = 120.0
"""Seconds in which a store must answer."""
LAST = 1800.0
"""Seconds in which the rest of a run must be sent."""
FAREWELL = 30.0


class Process:
    """A carrier in a process of its own.

    Args:
        spool: of the store.
    """

    def __init__(self, spool: Spool) -> None:
        self.spool, self._rest = spool, b""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "hartley.store.remote.carrier", str(spool.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the command, which then lets it end
        )

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        limit = time.monotonic() + (LAST if request["do"] == "release" else FIRST)
        ask, answers = self._process.stdin, self._process.stdout
        assert ask is not None and answers is not None
        with contextlib.suppress(OSError):
            ask.write(json.dumps(request).encode() + b"\n")
            ask.flush()
        while b"\n" not in self._rest:
            ready, _, _ = select.select([answers], [], [], max(0.0, limit - time.monotonic()))
            piece = os.read(answers.fileno(), 65536) if ready else b""
            if not piece:
                self.end()
                late = "did not answer in time" if not ready else "the process beside it ended"
                return {"error": f"cannot use {self.spool.url}: {late}"}
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        answered: dict[str, Any] = json.loads(line)
        return answered

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def end(self) -> None:
        """End the process, at the latest after it has sent what it holds."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        try:
            process.wait(FAREWELL)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


_ONE_AT_A_TIME = threading.Lock()
_ASKED: dict[tuple[int, Path], Process | Carrier] = {}


def ask(store: Path, do: str, **facts: Any) -> Any:
    """Let the store of a spool do something; return its result.

    Raises:
        StoreError: it could not.
        DamagedRun: what it holds of a run is damaged.
    """
    place = os.getpid(), store.absolute()
    with _ONE_AT_A_TIME:
        if place not in _ASKED:
            spool = spool_of(store)
            assert spool is not None
            if "memory://" in spool.url:  # no other process sees this one's memory
                _ASKED[place] = Carrier(spool)
            else:
                _ASKED[place] = Process(spool)
                atexit.register(_end, place)
        server = _ASKED[place]
        answer = server.answer({"do": do, "with": facts})
        if isinstance(server, Process) and server.ended:
            del _ASKED[place]
    if "error" in answer:
        raise (DamagedRun if answer.get("damaged") else StoreError)(answer["error"])
    return answer["done"]


def _end(place: tuple[int, Path]) -> None:
    server = _ASKED.pop(place, None)
    if isinstance(server, Process) and place[0] == os.getpid():
        server.end()

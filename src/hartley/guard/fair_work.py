"""Work beside the answers, in threads: groups take turns, so that none waits for another's pile.

Reading an answer takes up to a tenth of a second. One queue for all would let a group with many
long answers hold up the evidence, and with it the next request, of every other group.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

THREADS = 4
"""Threads that work: as many groups can be read at once."""


class FairWork:
    """Runs functions in threads: one of each group at a time, in its order, and groups in turn."""

    def __init__(self, threads: int = THREADS) -> None:
        """Start nothing yet.

        Args:
            threads: functions that run at the same time, at most.
        """
        self._free = threads
        self._threads = ThreadPoolExecutor(threads, "guard")
        self._waiting: dict[str, deque[tuple[asyncio.Future[Any], Callable[[], Any]]]] = {}
        self._turns: deque[str] = deque()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self, group: str, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function after those of its group that came before, and return its result.

        Args:
            group: that it is done for.
            function, arguments: run in a thread.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if group not in self._waiting:
            self._waiting[group] = deque()
            self._turns.append(group)
        self._waiting[group].append((future, lambda: function(*arguments)))
        self._start()
        return await future

    def _start(self) -> None:
        """Start the first function of the groups whose turn it is, as far as threads are free."""
        while self._free and self._turns:
            group = self._turns.popleft()
            self._free -= 1
            task = asyncio.get_running_loop().create_task(self._next(group))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _next(self, group: str) -> None:
        """Run one function of a group; then it is another group's turn."""
        future, function = self._waiting[group].popleft()
        try:
            if not future.done():  # nobody waits for it any more
                loop = asyncio.get_running_loop()
                result = await loop.run_in_executor(self._threads, function)
                if not future.done():
                    future.set_result(result)
        except Exception as error:
            if not future.done():
                future.set_exception(error)
        finally:
            self._free += 1
            if self._waiting[group]:
                self._turns.append(group)
            else:
                del self._waiting[group]
            self._start()

    def close(self) -> None:
        """Let threads end; what was begun is finished."""
        self._threads.shutdown(wait=False)

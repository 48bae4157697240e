"""Searches that go side by side and ask for their points together.

A line search is a loop of its own that asks for one value at a time, and many of them ask for the
same function of other numbers. Here each runs in a thread that waits when it asks; once all wait,
their points are evaluated in one call, by the caller's thread. Which searches ask together follows
from the searches alone, not from the machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import copy_context
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

R = TypeVar("R")
Ask = Callable[[Any], Any]
"""A point → what was evaluated there."""
Evaluate = Callable[[list[int], list[Any]], Sequence[Any]]
"""(numbers of the searches that ask, in order; their points) → one value for each."""

ASKS, ENDED, FAILED = "asks", "ended", "failed"


class _Stopped(BaseException):
    """Ends a search whose caller is gone."""


def lockstep(searches: Sequence[Callable[[Ask], R]], evaluate: Evaluate) -> list[R]:
    """Return what searches return, in their order.

    Args:
        searches: each gets a function that evaluates a point, and may call it any number of times.
        evaluate: evaluates the points of all searches that ask at the same time.

    Raises:
        Exception: what ``evaluate`` or a search has raised; the other searches end.
    """
    if len(searches) == 1:
        return [searches[0](lambda point: evaluate([0], [point])[0])]
    threads = _Threads(searches)
    try:
        while asking := threads.points():
            places = sorted(asking)
            values = evaluate(places, [asking[k] for k in places])
            threads.answer(dict(zip(places, values, strict=True)))
    finally:
        threads.end()
    return [threads.results[k] for k in range(len(searches))]


class _Threads:
    """The threads of some searches."""

    def __init__(self, searches: Sequence[Callable[[Ask], Any]]) -> None:
        self.results: dict[int, Any] = {}
        self._searches = searches
        self._news: SimpleQueue[tuple[int, str, Any]] = SimpleQueue()
        self._answers: list[SimpleQueue[Any]] = [SimpleQueue() for _ in searches]
        self._threads = [
            Thread(target=copy_context().run, args=(self._run, k), daemon=True)
            for k in range(len(searches))
        ]
        for thread in self._threads:
            thread.start()

    def _run(self, k: int) -> None:
        def ask(point: Any) -> Any:
            self._news.put((k, ASKS, point))
            value = self._answers[k].get()
            if value is _Stopped:
                raise _Stopped
            return value

        try:
            self._news.put((k, ENDED, self._searches[k](ask)))
        except BaseException as error:
            self._news.put((k, FAILED, error))

    def points(self) -> dict[int, Any]:
        """Return the points that searches ask for, once each has asked or ended; empty at the end.

        Raises:
            Exception: what a search has raised.
        """
        asking: dict[int, Any] = {}
        while len(asking) + len(self.results) < len(self._searches):
            k, what, value = self._news.get()
            if what == FAILED:
                raise value
            (asking if what == ASKS else self.results)[k] = value
        return asking

    def answer(self, values: dict[int, Any]) -> None:
        """Let searches go on."""
        for k, value in values.items():
            self._answers[k].put(value)

    def end(self) -> None:
        """Stop the searches that still ask, and wait for their threads."""
        for queue in self._answers:
            queue.put(_Stopped)
        for thread in self._threads:
            thread.join()

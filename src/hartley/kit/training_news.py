"""News of models that are being trained: which of how many, and how long the rest takes.

The code that trains sends news, and the process that plays passes them on to the person who waits.
No result depends on them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

News = Mapping[str, Any]
"""Plain values. Of a model that is begun: ``what`` it is, its ``number`` out of ``of``, and the
seconds that are ``left`` until the last is done, or None. Of a choice: ``words``."""

_listeners: list[Callable[[News], None]] = []
_what: ContextVar[str] = ContextVar("hartley_trained_models", default="model")


@contextmanager
def listening(listener: Callable[[News], None]) -> Iterator[None]:
    """Have all news of this block's trainings."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


@contextmanager
def called(what: str) -> Iterator[None]:
    """Call the models of ensembles that are ordered in this block by a name, such as reference."""
    token = _what.set(what)
    try:
        yield
    finally:
        _what.reset(token)


def send(news: News) -> None:
    """Give news to all that listen."""
    for listener in tuple(_listeners):
        listener(news)


SELDOM = 0.2
"""Seconds between two news of one ensemble: small models are trained faster than anyone reads."""


@dataclass(slots=True)
class Pace:
    """How fast the models of an ensemble are done, whichever process trains them.

    Attributes:
        of: how many there are.
        what: what to call one.
        clock: seconds.
    """

    of: int
    what: str = field(default_factory=_what.get)
    clock: Callable[[], float] = time.monotonic
    _first: tuple[float, int] | None = None
    _last: float = -math.inf

    def begin(self, done: Callable[[], int]) -> None:
        """Say that the next model is begun.

        Args:
            done: counts the models that are done already.
        """
        now = self.clock()
        if not _listeners or now - self._last < SELDOM:
            return
        self._last, number = now, done()
        if self._first is None:
            self._first = now, number
        began, before = self._first
        each = (now - began) / (number - before) if number > before else None
        left = None if each is None else each * (self.of - number)
        send({"what": self.what, "number": min(number + 1, self.of), "of": self.of, "left": left})

"""Ctrl-C while parts are played in this process, and while worker processes begin and end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]


def _current() -> Handler | None:
    """The function that a Ctrl-C calls; None where none does or this thread cannot change it."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(signal.SIGINT)
    return handler if callable(handler) else None


@contextlib.contextmanager
def recorded() -> Iterator[list[int]]:
    """Yield a list that is empty until Ctrl-C is pressed.

    A part may swallow a KeyboardInterrupt, or raise one of its own: the list says which it was.
    """
    pressed: list[int] = []
    before = _current()
    if before is None:
        yield pressed
        return

    def record(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, record)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """Hold a Ctrl-C back until the block is done: no process begins unseen or ends by half."""
    before = _current()
    if before is None:
        yield
        return
    pressed: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if pressed:
            before(*pressed[0])

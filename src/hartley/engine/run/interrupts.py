"""Ctrl-C while parts are played in this process, and while worker processes begin and end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]


STOPPING = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
"""Signals that stop a run."""


def _current(number: int) -> Handler | None:
    """The function that a signal calls; None where none does or this thread cannot change it."""
    if threading.current_thread() is not threading.main_thread():
        return None
    handler = signal.getsignal(number)
    return handler if callable(handler) else None


@contextlib.contextmanager
def recorded() -> Iterator[list[int]]:
    """Yield a list that is empty until Ctrl-C is pressed.

    A part may swallow a KeyboardInterrupt, or raise one of its own: the list says which it was.
    """
    pressed: list[int] = []
    before = _current(signal.SIGINT)
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
    """Hold a Ctrl-C and its like back until a block is done, which begins or ends processes."""
    before = {number: handler for number in STOPPING if (handler := _current(number)) is not None}
    received: list[tuple[int, FrameType | None]] = []
    for number in before:
        signal.signal(number, lambda number, frame: received.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if received:
            before[received[0][0]](*received[0])

"""Work of a deal that costs the same for few rounds as for many: what it took.

A forecast of a larger run lets the cost of dealing grow with the rounds. What a game does once for
all of them, such as a baseline of its records, it does in ``once_per_deal``, and the engine, which
opens ``counted`` around the deal, counts those processor seconds apart.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class Counted:
    """What a deal spent in ``once_per_deal``.

    Attributes:
        seconds: processor seconds of this process.
    """

    seconds: float = 0.0


_open: ContextVar[Counted | None] = ContextVar("hartley_once_per_deal", default=None)


@contextmanager
def counted() -> Iterator[Counted]:
    """Count what is spent in ``once_per_deal`` within this block."""
    total = Counted()
    token = _open.set(total)
    try:
        yield total
    finally:
        _open.reset(token)


@contextmanager
def once_per_deal() -> Iterator[None]:
    """Do what a deal does once, however many rounds it has; a block within another counts once."""
    total = _open.get()
    token = _open.set(None)
    began = time.process_time()
    try:
        yield
    finally:
        _open.reset(token)
        if total is not None:
            total.seconds += time.process_time() - began

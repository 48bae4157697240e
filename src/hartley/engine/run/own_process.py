"""Whether experiments may be played in this process, where no worker processes are asked for.

A program that calls Hartley may want that. The command may not: its exit code is a verdict, and
a part that is played in its process could end it with another.
"""

from __future__ import annotations

from contextvars import ContextVar

_PLAYS = ContextVar("plays", default=True)


def forbid_play() -> None:
    """From now on, let one worker process play where none are asked for."""
    _PLAYS.set(False)


def may_play() -> bool:
    """Whether this process may play experiments."""
    return _PLAYS.get()

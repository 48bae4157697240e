"""Try again what may work later: exponential back-off, with jitter that is drawn from a name.

A failure that may pass says nothing about the model that was asked. It is never an answer, not even
an empty one: what does not work after all attempts fails, and with it the row.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from hartley.core.errors import RunError, TransientError
from hartley.core.seeds import spawn

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often, and after what time, something is tried again.

    Attributes:
        attempts: tries in all, at least 1.
        first: seconds before the second try; each further wait is twice the one before.
        longest: seconds that one wait takes at most, whatever the other side asks for.
        sleep: waits the given number of seconds.
    """

    attempts: int = 8
    first: float = 0.5
    longest: float = 60.0
    sleep: Callable[[float], object] = time.sleep

    def wait(self, name: str, attempt: int, requested: float = 0.0) -> float:
        """Return the seconds to wait after a try that failed.

        Args:
            name: what is being tried; the jitter, a factor of 0.5 to 1, follows from it.
            attempt: number of the try, from 0.
            requested: least number of seconds that the other side asks to wait.
        """
        jitter = 0.5 + 0.5 * (spawn(0, "retry", name, attempt) % 2**32) / 2**32
        grown = min(self.longest, self.first * 2.0**attempt)
        return min(self.longest, max(grown * jitter, requested))


def retried(call: Callable[[], T], name: str, backoff: Backoff) -> T:
    """Return ``call()``, tried again while it fails with a ``TransientError``.

    Args:
        call: what to try.
        name: what it is, for the jitter; never printed.
        backoff: how often and how long.

    Raises:
        RunError: it failed at every attempt; the last reason is in the message.
    """
    for attempt in range(max(1, backoff.attempts)):
        try:
            return call()
        except TransientError as error:
            last = error
        if attempt + 1 < backoff.attempts:
            backoff.sleep(backoff.wait(name, attempt, last.wait))
    raise RunError(f"failed {max(1, backoff.attempts)} times, at last with: {last}") from last

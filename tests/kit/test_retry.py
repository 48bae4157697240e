"""What may pass is tried again, ever more slowly; what does not pass fails in words."""

from __future__ import annotations

import pytest

from hartley.core.errors import RunError, TransientError
from hartley.kit.retry import Backoff, retried


def _failing(times: int, wait: float = 0.0) -> tuple[list[int], object]:
    tries: list[int] = []

    def call() -> str:
        tries.append(1)
        if len(tries) <= times:
            raise TransientError("busy", wait)
        return "answer"

    return tries, call


def test_it_waits_longer_each_time_by_a_name() -> None:
    waits: list[float] = []
    backoff = Backoff(attempts=8, first=1.0, longest=20.0, sleep=waits.append)
    tries, call = _failing(7)
    assert retried(call, "a", backoff) == "answer" and len(tries) == 8  # type: ignore[arg-type]
    grown = [1.0, 2.0, 4.0, 8.0, 16.0, 20.0, 20.0]
    assert all(g / 2 <= w <= g for w, g in zip(waits, grown, strict=True))
    first = list(waits)
    for name, same in (("a", True), ("b", False)):
        waits.clear()
        retried(_failing(7)[1], name, backoff)  # type: ignore[arg-type]
        assert (waits == first) is same


def test_what_the_other_side_asks_to_wait_is_waited_up_to_an_end() -> None:
    backoff = Backoff(first=0.1, longest=5.0)
    assert backoff.wait("a", 0, requested=3.0) == 3.0
    assert backoff.wait("a", 0, requested=300.0) == 5.0


def test_after_the_last_attempt_it_fails_and_does_not_wait() -> None:
    waits: list[float] = []
    tries, call = _failing(9)
    with pytest.raises(RunError, match="failed 3 times, at last with: busy") as told:
        retried(call, "a", Backoff(attempts=3, sleep=waits.append))  # type: ignore[arg-type]
    assert len(tries) == 3 and len(waits) == 2
    assert not isinstance(told.value, TransientError), "nobody tries it once more"


def test_other_failures_are_not_tried_again() -> None:
    tries: list[int] = []

    def call() -> None:
        tries.append(1)
        raise RunError("no such model")

    with pytest.raises(RunError, match="no such model"):
        retried(call, "a", Backoff())
    assert len(tries) == 1

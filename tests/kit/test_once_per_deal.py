"""What a deal does once is counted apart from what grows with its rounds."""

import pytest

from hartley.kit import once_per_deal as module
from hartley.kit.once_per_deal import counted, once_per_deal


@pytest.fixture
def clock(monkeypatch):
    """Processor seconds that pass only where the test says so."""
    seconds = [0.0]
    monkeypatch.setattr(module.time, "process_time", lambda: seconds[0])

    def work(amount):
        seconds[0] += amount

    return work


def test_only_what_is_done_once_counts_and_a_nested_block_counts_once(clock):
    with counted() as once:
        clock(10.0)
        with once_per_deal():
            clock(1.0)
            with once_per_deal():
                clock(0.5)
        with pytest.raises(ZeroDivisionError), once_per_deal():
            clock(0.25)
            raise ZeroDivisionError
    with once_per_deal():
        clock(100.0)
    assert once.seconds == 1.75

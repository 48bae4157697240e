"""What an answer cost: adapters report it, the meter writes it down.

An adapter calls :func:`charge` while it answers. What it reports goes to the bill of the
caller, which only the engine opens: outside of a metered call there is no bill, so that an attack
can neither read what it is charged nor charge itself or anyone else.

A bill follows the context of the asking thread. An adapter with threads of its own adds up what
they spent and reports it from the thread that it was called in, or runs them in copies of the
context (``contextvars.copy_context().run``); a bill may be added to from several threads at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, fields
from math import isfinite
from threading import Lock


@dataclass(frozen=True, slots=True)
class Cost:
    """What answers cost, beside the number of queries, which the meter counts itself.

    Attributes:
        tokens_in: tokens that the model read.
        tokens_out: tokens that it wrote.
        money: in the currency of the price list that the user gave.
        seconds: of the model's own time, where its adapter measures it.
        lost_requests: that were sent and whose answers never came; the same question was sent
            again. A server may charge for them, and they are in no other number.
    """

    tokens_in: float = 0.0
    tokens_out: float = 0.0
    money: float = 0.0
    seconds: float = 0.0
    lost_requests: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Cost)))

    def __sub__(self, other: Cost) -> Cost:
        return Cost(*(getattr(self, f.name) - getattr(other, f.name) for f in fields(Cost)))


@dataclass(slots=True)
class Bill:
    """What was reported so far.

    Attributes:
        cost: by adapters.
        queries: records that a judge asked about; those of an attacker the meter counts.
    """

    cost: Cost = field(default_factory=Cost)
    queries: int = 0
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, cost: Cost) -> None:
        """Add to it, from any thread."""
        with self._lock:
            self.cost = self.cost + cost

    def count(self, queries: int) -> None:
        """Add a judge's queries, from any thread."""
        with self._lock:
            self.queries += queries


_open: ContextVar[Bill | None] = ContextVar("hartley_bill", default=None)


def charge(
    *,
    tokens_in: float = 0.0,
    tokens_out: float = 0.0,
    money: float = 0.0,
    seconds: float = 0.0,
    lost_requests: float = 0.0,
) -> None:
    """Report to the caller what an answer cost.

    Args:
        tokens_in: tokens that the model read.
        tokens_out: tokens that it wrote.
        money: what was paid.
        seconds: of the model's own time.
        lost_requests: that were sent and whose answers never came.

    Raises:
        ValueError: a number below 0, or one that is not finite.
    """
    cost = Cost(tokens_in, tokens_out, money, seconds, lost_requests)
    for amount in fields(Cost):
        value = getattr(cost, amount.name)
        if not isfinite(value) or value < 0:
            raise ValueError(f"{amount.name} must be a finite number of at least 0, got {value}")
    bill = _open.get()
    if bill is not None:
        bill.add(cost)


def count_queries(queries: int) -> None:
    """Report to the engine that a judge asks about this many records (``games.judged_model``)."""
    if (bill := _open.get()) is not None:
        bill.count(queries)


@contextmanager
def billed() -> Iterator[Bill]:
    """Collect what adapters report in this block. A bill in another's block collects for both."""
    outer, bill = _open.get(), Bill()
    token = _open.set(bill)
    try:
        yield bill
    finally:
        _open.reset(token)
        if outer is not None:
            outer.add(bill.cost)
            outer.count(bill.queries)

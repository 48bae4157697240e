"""Work that is done once for several attacks: what it took, and which of them used it.

Reference models, a decoder of embeddings or a victim's answers are made by the first attack that
needs them; the others find them made. On the first one's clock they would look like its own cost,
and the costs of all would follow from the order of play. So the maker of such a thing measures it
as a ``Work``, and every part that uses it has it on its ledger, the first as well as the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

SECONDS = "seconds"
"""The unit that every work is measured in; a ledger may read others."""

Amounts = dict[str, float]
"""Amounts by unit."""


@dataclass(slots=True, eq=False)
class Work:
    """Something that is made once, and what making it took.

    Attributes:
        name: what to call it in a report; works of one name are added up.
        key: two works of one name and one key are the same thing, such as a file. None: this work
            is the same as itself alone.
        spent: amounts by unit, without those of its parts.
        parts: other works that it was made from.
    """

    name: str
    key: str | None = None
    spent: Amounts = field(default_factory=dict)
    parts: list[Work] = field(default_factory=list)
    _recorded: bool = field(default=False, repr=False)

    @property
    def identity(self) -> tuple[str, Any]:
        """Equal for the same thing."""
        return self.name, id(self) if self.key is None else self.key

    def used(self) -> None:
        """Note that the current play uses it."""
        block, ledger = _block.get(), _ledger.get()
        if block is None:
            if ledger is not None:
                ledger.works.setdefault(self.identity, self)
        elif block.work is not self and self not in block.work.parts:
            block.work.parts.append(self)

    @contextmanager
    def use(self) -> Iterator[Work]:
        """Make it in this block, or find it made: it is used, and what is spent here is its own."""
        self.used()
        outer = _block.get()
        block = _Block(self, _reading())
        token = _block.set(block)
        try:
            yield self
        finally:
            _block.reset(token)
            spent = _less(_reading(), block.start)
            if not self._recorded:
                _add(self.spent, _less(spent, block.nested))
            if outer is not None:
                _add(outer.nested, spent)
            elif (ledger := _ledger.get()) is not None:
                _add(ledger.inside, spent)

    def took(self, spent: Mapping[str, float]) -> None:
        """Take over what making it took when it was made, say before this process was started."""
        self.spent, self._recorded = dict(spent), True


@dataclass(slots=True)
class Ledger:
    """What one attack used of work that is shared.

    Attributes:
        reads: totals of what the attack used until now by unit, besides time.
        inside: amounts that were spent within shared work while this ledger was open.
        works: what was used, each once.
    """

    reads: Callable[[], Mapping[str, float]] = dict
    inside: Amounts = field(default_factory=dict)
    works: dict[tuple[str, Any], Work] = field(default_factory=dict)

    @contextmanager
    def opened(self) -> Iterator[Ledger]:
        """Write down what is used in this block."""
        block, ledger = _block.set(None), _ledger.set(self)
        try:
            yield self
        finally:
            _ledger.reset(ledger)
            _block.reset(block)

    def shared(self) -> dict[str, Amounts]:
        """Return the cost of all shared work that was used, by its name; parts count once."""
        counted: set[tuple[str, Any]] = set()
        amounts: dict[str, Amounts] = {}
        for work in self.works.values():
            _collect(work, counted, amounts.setdefault(work.name, {}))
        return amounts


@dataclass(slots=True)
class _Block:
    """One block of ``Work.use`` that is running."""

    work: Work
    start: Mapping[str, float]
    nested: Amounts = field(default_factory=dict)


_ledger: ContextVar[Ledger | None] = ContextVar("hartley_ledger", default=None)
_block: ContextVar[_Block | None] = ContextVar("hartley_shared_work", default=None)


def _reading() -> Amounts:
    ledger = _ledger.get()
    return {**({} if ledger is None else ledger.reads()), SECONDS: time.perf_counter()}


def _less(amounts: Mapping[str, float], others: Mapping[str, float]) -> Amounts:
    return {unit: amount - others.get(unit, 0.0) for unit, amount in amounts.items()}


def _add(amounts: Amounts, more: Mapping[str, float]) -> None:
    for unit, amount in more.items():
        amounts[unit] = amounts.get(unit, 0.0) + amount


def _collect(work: Work, counted: set[tuple[str, Any]], amounts: Amounts) -> None:
    if work.identity in counted:
        return
    counted.add(work.identity)
    _add(amounts, work.spent)
    for part in work.parts:
        _collect(part, counted, amounts)

"""What an agent holds, with where it came from.

A value carries its sources: ``user`` for what the user wrote, the name of a tool for what that tool
answered. What is computed of values carries the sources of all that were read on the way, those
that only chose among others too: ``choose`` and ``best`` mark the row they pick with what the
choice was read from. So an action can be judged by what decided its arguments (CaMeL,
arXiv:2503.18813), and an agent that does not care works on the same values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

USER = "user"
"""The source of what the user wrote."""

TRUSTED: frozenset[str] = frozenset({USER})

_READ: ContextVar[list[set[str]] | None] = ContextVar("_READ", default=None)


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """Something plain (text, number, list …) and its sources.

    Attributes:
        raw: the plain value. Read it by ``content``, which notes that it was read.
        sources: where it came from, by name; empty for a constant of the program.
    """

    raw: Any
    sources: frozenset[str] = frozenset()

    @property
    def content(self) -> Any:
        """The plain value; whatever is being computed depends on it from here on."""
        for reads in _READ.get() or ():
            reads.update(self.sources)
        return self.raw

    @property
    def text(self) -> str:
        """The content as text."""
        return str(self.content)

    @property
    def number(self) -> float:
        """The first number in the content.

        Raises:
            ValueError: there is none.
        """
        if isinstance(self.raw, int | float) and not isinstance(self.raw, bool):
            return float(self.content)
        number = re.search(r"-?\d[\d,]*(?:\.\d+)?", self.text)
        if number is None:
            raise ValueError(f"no number in {self.text[:60]!r}")
        return float(number[0].replace(",", ""))

    def find(self, pattern: str, group: int | str = 1) -> Value:
        """Return the part of the text that a pattern's group matches, case ignored.

        Raises:
            ValueError: the pattern is nowhere in the text.
        """
        match = re.search(pattern, self.text, re.IGNORECASE | re.DOTALL)
        if match is None or match[group] is None:
            raise ValueError(f"{pattern!r} is nowhere in {self.text[:60]!r}")
        return Value(match[group].strip(), self.sources)

    def has(self, pattern: str) -> bool:
        """Whether a pattern is somewhere in the text, case ignored."""
        return re.search(pattern, self.text, re.IGNORECASE | re.DOTALL) is not None

    def all(self, pattern: str, group: int | str = 0) -> list[Value]:
        """Return a pattern's group wherever it matches, in order, case ignored."""
        matches = re.finditer(pattern, self.text, re.IGNORECASE)
        return [Value(match[group].strip(), self.sources) for match in matches]

    def map(self, change: Callable[[Any], Any]) -> Value:
        """Return what a function makes of the content."""
        return derived(change, self)

    def marked(self, sources: Iterable[str]) -> Value:
        """Return the value with further sources."""
        return Value(self.raw, self.sources.union(sources))


@contextmanager
def reading() -> Iterator[set[str]]:
    """Collect the sources of all contents that are read inside."""
    reads: set[str] = set()
    token = _READ.set([*(_READ.get() or ()), reads])
    try:
        yield reads
    finally:
        _READ.reset(token)


def derived(function: Callable[..., Any], *values: Any) -> Value:
    """Return what a function of plain contents makes of values; it carries all their sources.

    Lists and mappings of values are passed as their plain contents.
    """
    with reading() as reads:
        result = function(*(plain(value) for value in values))
    return Value(result, frozenset(reads))


def plain(value: Any) -> Any:
    """Return a value's content; of a list or a mapping, with the contents of all that is in it."""
    if isinstance(value, Value):
        return plain(value.content)
    if isinstance(value, Mapping):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value


def sources_of(value: Any) -> frozenset[str]:
    """Return the sources of a value, or of all that is in a list or a mapping."""
    if isinstance(value, Value):
        return value.sources
    parts = value.values() if isinstance(value, Mapping) else value
    if isinstance(parts, str | bytes) or not isinstance(parts, Iterable):
        return frozenset()
    return frozenset().union(*(sources_of(part) for part in parts))


def marked(value: Any, sources: frozenset[str]) -> Any:
    """Return a value with further sources on it and on all that is in it."""
    if isinstance(value, Value):
        return value.marked(sources)
    if isinstance(value, Mapping):
        return {name: marked(part, sources) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [marked(part, sources) for part in value]
    return Value(value, sources)


def chosen(rows: Sequence[Any], test: Callable[[Any], Any]) -> list[Any]:
    """Return the rows that pass a test, each marked with what the tests read.

    What the test read of a row that fails decides too which rows are left, so that all rows carry
    all that was read.
    """
    with reading() as reads:
        passed = [row for row in rows if test(row)]
    return [marked(row, frozenset(reads)) for row in passed]


def best(rows: Sequence[Any], key: Callable[[Any], Any], *, largest: bool = True) -> Any:
    """Return the row with the largest (or the smallest) key, marked with what the keys read.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("there is nothing to choose from")
    with reading() as reads:
        row = (max if largest else min)(rows, key=key)
    return marked(row, frozenset(reads))


def composed(template: str, *values: Any, **named: Any) -> Value:
    """Return a text with values put in the places of a template (``str.format``)."""
    with reading() as reads:
        text = template.format(
            *(plain(value) for value in values),
            **{name: plain(value) for name, value in named.items()},
        )
    return Value(text, frozenset(reads))

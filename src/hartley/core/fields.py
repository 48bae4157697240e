"""What a part may declare: the fields of its record in ``core.parts`` are the one table.

A field is a line like ``term: Term = field(metadata=about("the term it works on"))``. From that
line follow the decorator's keyword and its static type, the check of its value, the run-time
record, the catalogue's entry and what ``hartley show`` and ``hartley list --json`` print.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum, Flag
from re import Pattern
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hartley.core.taxonomy import Access


@dataclass(frozen=True, slots=True)
class Matches:
    """A constraint on a string, for ``Annotated[str, Matches(pattern, words)]``."""

    pattern: Pattern[str]
    words: str


@dataclass(frozen=True, slots=True)
class Declared:
    """One field that a decorator takes.

    Attributes:
        name: the keyword.
        hint: its annotation.
        default: what holds where it is left out; ``dataclasses.MISSING`` where it is required.
        help: what it says, in a phrase.
        listed_as: its name in the catalogue's entry, or empty for what only running code can read.
    """

    name: str
    hint: Any
    default: Any
    help: str
    listed_as: str

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is dataclasses.MISSING

    @property
    def shape(self) -> str:
        """``mapping``, ``words`` (a tuple, or flags), ``scalar`` or ``code`` (a function)."""
        origin = get_origin(self.hint) or self.hint
        if origin is Mapping:
            return "mapping"
        if origin is Callable:
            return "code"
        return "words" if origin is tuple or self.hint is Access else "scalar"

    @property
    def words(self) -> tuple[str, ...]:
        """The words of which it takes one or several, or none where it takes any."""
        return _words(self.hint)


def _words(hint: Any) -> tuple[str, ...]:
    """The words that an annotation of enums and literals allows; none where it allows others."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is tuple:
        return _words(arguments[0])
    if origin in {Union, UnionType}:
        parts = [_words(hint_part) for hint_part in arguments if hint_part is not NoneType]
        return tuple(word for part in parts for word in part) if all(parts) else ()
    if origin is Literal:
        return tuple(map(str, arguments))
    if isinstance(hint, type) and issubclass(hint, Flag):
        return tuple(str(hint_part.name).lower() for hint_part in hint.__members__.values())
    return tuple(map(str, hint)) if isinstance(hint, type) and issubclass(hint, Enum) else ()


def about(text: str, *, listed: bool = True, listed_as: str = "") -> Mapping[str, Any]:
    """Return the metadata that makes a field of a record a keyword of its decorator.

    Args:
        text: what the field says, in a phrase.
        listed: whether the catalogue reads it from the syntax tree. It must then be written as a
            literal, a member of an enum or the name of a game. Functions are never read.
        listed_as: its name in the catalogue, where that is another.
    """
    return {"help": text, "listed": listed, "listed_as": listed_as}


def declared_fields(record: type) -> tuple[Declared, ...]:
    """Return what the decorator of a record takes, in order."""
    table = []
    for field in dataclasses.fields(record):
        if "help" not in field.metadata:
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        name = field.metadata["listed_as"] or field.name
        declared = Declared(field.name, field.type, default, field.metadata["help"], name)
        listed = field.metadata["listed"] and declared.shape != "code"
        table.append(declared if listed else dataclasses.replace(declared, listed_as=""))
    return tuple(table)


def keyword_mistake(record: type, keywords: Iterable[str]) -> str:
    """Say which keyword is unknown or missing, or return an empty string."""
    table = declared_fields(record)
    names, keywords = [field.name for field in table], tuple(keywords)
    for name in keywords:
        if name not in names:
            near = get_close_matches(name, names, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it takes {', '.join(names)}"
            return f"{record.__name__.lower()} takes no keyword {name!r}; {hint}"
    missing = [field.name for field in table if field.required and field.name not in keywords]
    return f"{record.__name__.lower()} must declare {', '.join(missing)}" if missing else ""


def checked(part: Any) -> None:
    """Check every declared value of a part against its annotation; mappings become read-only.

    Raises:
        TypeError: a value is not what its field's annotation says.
    """
    for field in declared_fields(type(part)):
        value = getattr(part, field.name)
        if not _fits(value, field.hint):
            raise TypeError(f"{field.name} must be {_expected(field.hint)}, got {value!r}")
        if field.shape == "mapping":
            object.__setattr__(part, field.name, MappingProxyType(dict(value)))


def _fits(value: Any, hint: Any) -> bool:  # noqa: PLR0911  one line a form of annotation
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin is Annotated:
        return _fits(value, arguments[0]) and all(
            c.pattern.match(value) for c in arguments[1:] if isinstance(c, Matches)
        )
    if origin is Literal:
        return value in arguments
    if origin in {Union, UnionType}:
        return any(_fits(value, argument) for argument in arguments)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(item, arguments[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(k, arguments[0]) and _fits(v, arguments[1]) for k, v in value.items()
        )
    if origin is Callable:
        return callable(value)
    return isinstance(value, NoneType if hint is None else hint)


def _expected(hint: Any) -> str:  # noqa: PLR0911  one line a form of annotation
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        limits = [c.words for c in arguments[1:] if isinstance(c, Matches)]
        return limits[0] if limits else _expected(arguments[0])
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin in {Union, UnionType}:
        return " or ".join(_expected(argument) for argument in arguments)
    if origin is tuple:
        return f"a tuple of {_expected(arguments[0])}"
    if origin is Mapping:
        return f"a dictionary of {_expected(arguments[0])} to {_expected(arguments[1])}"
    if origin is Callable:
        return "a function"
    if hint is Any:
        return "any value"
    return "None" if hint in {None, NoneType} else str(hint.__name__)

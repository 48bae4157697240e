"""The parameters of a part: read from its signature, and described in its docstring."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Parameter:
    """One keyword parameter of a part: a plain value, so it can be a flag, hashed and swept."""

    name: str
    default: Any
    kind: type
    help: str


def parameters_of(function: Callable[..., Any]) -> tuple[Parameter, ...]:
    """Keyword parameters with their defaults and their line of the docstring's ``Args:``."""
    notes = _notes(inspect.getdoc(function) or "")
    found = []
    for one in inspect.signature(function).parameters.values():
        if one.kind is not inspect.Parameter.KEYWORD_ONLY:
            continue
        if not isinstance(one.default, bool | int | float | str):
            raise TypeError(
                f"{function.__name__}: parameter {one.name!r} needs a plain default "
                "(bool, int, float or str), so that it can be a flag"
            )
        found.append(Parameter(one.name, one.default, type(one.default), notes.get(one.name, "")))
    return tuple(found)


def _notes(doc: str) -> dict[str, str]:
    """Parse a Google docstring's ``Args:`` into one line a parameter."""
    notes: dict[str, str] = {}
    inside, last = False, ""
    for line in doc.splitlines():
        if line.strip() in {"Args:", "Arguments:"}:
            inside = True
        elif inside and line and not line.startswith(" "):
            inside = False
        elif inside and (match := re.match(r"^ {4}(\w+)(?: \([^)]*\))?: (.*)$", line)):
            last = match[1]
            notes[last] = match[2].strip()
        elif inside and last and line.startswith(" " * 8):
            notes[last] += " " + line.strip()
    return notes

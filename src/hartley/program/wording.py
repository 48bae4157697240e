"""Messages that name flags of the command line → messages that name a program's arguments.

The same checks speak at both doors. At this one ``--target`` is ``target=``, an example of a
command is a call, and a file that ``hartley.audit`` wrote is the argument that it was written of.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, wraps
from typing import ParamSpec, TypeVar

from hartley import catalog
from hartley.core.errors import HartleyError
from hartley.engine.plan.own_scene import RECIPES

P = ParamSpec("P")
R = TypeVar("R")

_FLAG = r"--([a-z]+(?:-[a-z]+)*)"
_COMMAND = re.compile(r"hartley[ ]assess((?: --[a-z-]+(?: (?!--)[^\s,;:)]+)?)+)")
_WITH_VALUE = re.compile(rf"{_FLAG}(?: (?!--)([^\s,;:)]+))?")
_PLACEHOLDER = re.compile(
    rf"{_FLAG} ([A-Z_]+\b(?:\.py:[A-Z]+)?|[a-z_]+\.py:\w+|"
    r"(?:chat|completions|tokens|probabilities)\b)"
)
_IN_BRACKETS = re.compile(rf"\({_FLAG} ([^\s)]+)\)")
_ALONE = re.compile(_FLAG)
_INPUT = re.compile(
    r"[^\s'\"(]*\.inputs/[0-9a-f]{16}/(\w+?)(?:_[0-9a-f]{8})?(?:\.[a-z]+)?(?::\w+)?(?![\w])(?!:\w)"
)
_RECORDS = re.compile(r"\b(train|test|members|nonmembers|records|clean)\.(?:parquet|npz|jsonl)\b")


def for_programs(call: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of programs: its errors name arguments in place of flags."""

    @wraps(call)
    def worded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return call(*args, **kwargs)
        except HartleyError as error:
            error.args = tuple(in_python(p) if isinstance(p, str) else p for p in error.args)
            if lines := getattr(error, "lines", ()):
                error.lines = tuple(map(in_python, lines))  # type: ignore[attr-defined]
            raise

    return worded


def in_python(text: str) -> str:
    """Return a message with arguments in place of flags."""
    if "--" in text:
        text = _COMMAND.sub(lambda m: f"hartley.audit({_call(m[1])})", text)
        text = _IN_BRACKETS.sub(lambda m: f"({_argument(m[1], m[2], m[0][1:-1])})", text)
        text = _PLACEHOLDER.sub(lambda m: _argument(m[1], m[2], m[0]), text)
        text = _ALONE.sub(lambda m: _argument(m[1], "", m[0]), text)
    return _RECORDS.sub(r"\1", _INPUT.sub(r"\1", text))


def _call(flags: str) -> str:
    return ", ".join(_argument(m[1], m[2] or "", m[0]) for m in _WITH_VALUE.finditer(flags))


@cache
def _names() -> frozenset[str]:
    return frozenset(p.name for r in RECIPES for p in catalog.load("scene", r).parameters)


def _argument(flag: str, value: str, unchanged: str) -> str:
    """Return a flag and its value as an argument; the flag of another command as it is."""
    name = flag.removeprefix("no-").replace("-", "_")
    if name not in _names():
        return unchanged
    if flag.startswith("no-") or name in ("trust", "opened"):
        return f"{name}={not flag.startswith('no-')}" + (f" {value}" if value else "")
    plain = value.isupper() or not value
    return f"{name}={value if plain else repr(value)}"

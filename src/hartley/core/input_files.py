"""Files and texts that a user names, read with bounds: TOML and JSON, never more than was stated.

A plan may be a folder, a pipe that nobody writes to, or a device without an end; its brackets may
be nested deeper than a parser recurses, and its numbers longer than one can convert. All of that is
one line that says what is wrong.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hartley.core.errors import UsageError

DEEPEST = 64
"""Levels of lists and tables in a document, and parts of a dotted key."""
LARGEST_TEXT = 2**22
"""Bytes of a TOML file: a plan of 4 MiB names every part a thousand times."""
LARGEST_JSON = 2**29
"""Bytes of a JSON file: a run document of 10,000 rows has some 50 MB."""

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\"]|"(?!""))*+(?:""")?'
    r"|'''(?:[^']|'(?!''))*+(?:''')?"
    r'|"(?:\\.|[^"\\\n])*+"?'
    r"|'[^'\n]*+'?"
    r"|#[^\n]*+"
    r"|[A-Za-z0-9_+-]++"
    r"|[ \t]++"
    r"|.",
    re.DOTALL,
)
"""A token of TOML; a string that does not end is one too, so that every text is read in one go."""


def read_bytes(path: Path, what: str, raises: Callable[[str], UsageError], most: int) -> bytes:
    """Return what is in a file.

    Args:
        path: of a regular file, or a link to one.
        what: the file is for, for the message: "the plan".
        raises: the error of its kind.
        most: bytes that it may have.

    Raises:
        UsageError: as ``raises`` makes it: the file is absent, of another kind, or too large.
    """
    try:
        # Without waiting: to open a pipe to which nobody writes would take for ever.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "rb", closefd=True) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise raises(f"{what} {path} must be a file, got {_kind(about.st_mode)}")
            content = file.read(most + 1)
    except (OSError, ValueError) as error:  # the latter: a path that holds NUL, or half a character
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, IsADirectoryError):
            raise raises(f"{what} {path} must be a file, got a folder") from None
        raise raises(f"cannot read {what} {path}: {reason}") from error
    if len(content) > most:
        raise raises(f"{what} {path} must have at most {most:,} bytes, got more")
    return content


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "a folder"
    return "a pipe" if stat.S_ISFIFO(mode) else "a device or a socket"


def toml_table(text: str) -> dict[str, Any]:
    """Return the table of a TOML text.

    Raises:
        tomllib.TOMLDecodeError: it is not TOML; the message has line and column.
        ValueError: it is nested deeper than ``DEEPEST``, or holds a number that is too long.
    """
    _check_depth(text)
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except (ValueError, RecursionError, OverflowError) as error:
        raise ValueError(_too_long(error)) from error
    check_value(table)
    return table


def json_value(content: bytes | str) -> Any:
    """Return the value of a JSON text: without NaN and infinities, which are not JSON.

    Raises:
        ValueError: it is not JSON, is nested deeper than ``DEEPEST``, a number is too long, or an
            object has one key twice.
    """
    try:
        value = json.loads(content, parse_constant=_refused, object_pairs_hook=_keys_once)
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise
    except RecursionError as error:
        raise ValueError(_too_deep()) from error
    except ValueError as error:
        raise ValueError(_too_long(error)) from error
    check_value(value, finite=True)
    return value


def check_value(value: Any, *, finite: bool = False) -> None:
    """Check that a value is not nested too deep, and that its numbers fit into floats.

    Args:
        value: of lists, tables and plain values.
        finite: whether infinite floats are refused too, as what JSON reads ``1e999`` as.

    Raises:
        ValueError: it is nested deeper than ``DEEPEST``, or a number is too large.
    """
    level = [value]
    for _ in range(DEEPEST + 1):
        below: list[Any] = []
        for part in level:
            if isinstance(part, dict):
                below += part.values()
            elif isinstance(part, list):
                below += part
            elif isinstance(part, int) and not -(2**1023) < part < 2**1023:
                raise ValueError("a number must have at most 300 digits, got more")
            elif finite and isinstance(part, float) and math.isinf(part):
                raise ValueError("a number must be below 1e308, got more")
        if not below:
            return
        level = below
    raise ValueError(_too_deep())


def _check_depth(text: str) -> None:
    """Check brackets and dotted keys before they are parsed, which takes time in their square."""
    depth = parts = 0
    after_dot = False
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token[0] in " \t":
            continue
        if token == ".":
            after_dot = True
            continue
        if token in "[{":
            depth += 1
        elif token in "]}":
            depth -= 1
        parts = parts + 1 if after_dot else 0
        after_dot = False
        if depth > DEEPEST or parts > DEEPEST:
            raise ValueError(_too_deep())


def _too_deep() -> str:
    return f"lists and tables must be nested at most {DEEPEST} levels deep, got more"


def _too_long(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return _too_deep()
    if "digits" in str(error):
        return f"a number must have at most {sys.get_int_max_str_digits()} digits, got more"
    return str(error)


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; of two values of one key a reader would silently take the last."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} must be there once, got {names.count(twice)}")
    return table


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")

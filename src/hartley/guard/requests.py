"""Requests of clients: JSON that reads in one way only, or a clear refusal."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from hartley.core.errors import UsageError

DEEPEST = 64
"""Levels of lists and tables in a body, at most."""

MOST_KEY = 255
"""Characters of an Idempotency-Key, at most."""

_MOST_DIGITS = 40
"""Digits of a whole number, at most."""


def read_request(body: bytes) -> dict[str, Any]:
    """Return the table in a body.

    Texts that two programs could read differently are refused: a name that a table has twice,
    numbers without a value, halves of characters, bytes that are not UTF-8.

    Raises:
        UsageError: the body is not such a table; the message says why and quotes nothing of it.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise UsageError("the body must be UTF-8 text") from None
    try:
        content = _STRICT.decode(text)
    except UsageError:
        raise
    except (ValueError, RecursionError):
        raise UsageError("the body must be JSON") from None
    if not isinstance(content, dict):
        raise UsageError("the body must be a JSON table")
    if _levels(content) > DEEPEST:
        raise UsageError(f"the body must have at most {DEEPEST} levels of lists and tables")
    if "\\u" in text:
        try:
            json.dumps(content, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise UsageError("the body must not hold halves of characters") from None
    return content


def _levels(content: Any) -> int:
    """Return the levels of lists and tables in a value."""
    levels, row = 0, [content]
    while row:
        levels += 1
        inner = (value.values() if isinstance(value, dict) else value for value in row)
        row = [value for values in inner for value in values if isinstance(value, (dict, list))]
    return levels


def _table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise UsageError("a table of the body must have each name once")
    return table


def _not_a_number(_word: str) -> NoReturn:
    raise UsageError("numbers of the body must be finite")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _not_a_number(digits)
    return number


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise UsageError(f"whole numbers of the body must have at most {_MOST_DIGITS} digits")
    return int(digits)


_STRICT = json.JSONDecoder(
    object_pairs_hook=_table, parse_constant=_not_a_number, parse_int=_whole, parse_float=_finite
)

compact = json.JSONEncoder(separators=(",", ":")).encode
"""Writes JSON without spaces."""


def read_key(header: str | None) -> str:
    """Return a valid Idempotency-Key; empty where there is none.

    Raises:
        UsageError: it is too long, or has other signs than printable ASCII.
    """
    key = header or ""
    if len(key) > MOST_KEY or not (key.isascii() and key.isprintable()):
        raise UsageError(f"Idempotency-Key must have at most {MOST_KEY} printable signs of ASCII")
    return key

"""Text of somewhere else, made safe to print: names, reasons, messages of exceptions, records.

A terminal obeys escape sequences, a browser obeys marks that turn the direction of text (Boucher
and Anderson, "Trojan Source", arXiv:2111.00169), and half a character cannot be written at all.
Whatever prints or renders text that Hartley did not write sends it through here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_INVISIBLE = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # controls, but for the tab and the end of a line
    "\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # marks
    "\ud800-\udfff"  # halves of characters
    "\U000e0000-\U000e0fff"  # tags
)
_ODD = re.compile(f"[{_INVISIBLE}]")
_PLAIN = frozenset({int, float, bool, type(None)})
"""Kinds of values that hold no text."""
_BREAK = re.compile("[\t\n\r]+")


def visible(text: object, most: int | None = None) -> str:
    """Return a text of several lines in which everything is seen: what acts unseen is escaped.

    Tabs and ends of lines stay; controls, marks of direction, characters without a width and halves
    of characters are written as Python's literals write them.

    Args:
        text: what to print; anything else than text is written as ``str`` writes it.
        most: characters after which it is cut, with an ellipsis; None: all.
    """
    plain = _ODD.sub(_escaped, str(text))
    return plain if most is None or len(plain) <= most else plain[: most - 1] + "…"


def one_line(text: object, most: int | None = None) -> str:
    """Return a text as one line in which everything is seen; see ``visible``.

    Ends of lines become a space: a name that holds one must not write a line of its own, such as a
    verdict.
    """
    plain = _ODD.sub(_escaped, _BREAK.sub(" ", str(text)))
    return plain if most is None or len(plain) <= most else plain[: most - 1] + "…"


def visible_json(text: str) -> str:
    """Return a JSON text that means the same and shows everything: odd characters are escaped.

    Outside its strings JSON has no such characters, so that they can be replaced wherever they are.
    """
    return _ODD.sub(_json_escaped, text)


def visible_values(value: Any) -> Any:
    """Return a plain value with every text in it made visible: of mappings the keys too."""
    if isinstance(value, str):
        return _ODD.sub(_escaped, value)
    if isinstance(value, dict | Mapping):  # dict first: of most mappings, and ten times as fast
        return {
            visible_values(key): item if type(item) in _PLAIN else visible_values(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [item if type(item) in _PLAIN else visible_values(item) for item in value]
    return value


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
    )


def _json_escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 65536:
        return f"\\u{code:04x}"
    high, low = divmod(code - 65536, 1024)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"

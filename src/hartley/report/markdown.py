"""Pieces of Markdown whose text stays text: no tag, link or emphasis comes out of a name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hartley.report.format_numbers import NOTHING

SPECIAL = re.compile(r"([\\`*_~\[\]|])")


def cell(value: Any) -> str:
    """Write text that neither breaks a table nor becomes a tag, a link or emphasis."""
    text = NOTHING if value is None else str(value)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(value: Any) -> str:
    """Write a name for the inside of backticks."""
    return re.sub(r"[^\w.:+-]", "", str(value))


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Write a table of escaped cells."""
    names = list(head)
    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def points(lines: Iterable[str]) -> str:
    """Write an escaped list."""
    return "\n".join(f"- {cell(line)}" for line in lines)

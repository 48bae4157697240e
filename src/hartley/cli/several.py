"""Options that take several names: repeated, or with commas between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from cyclopts import Parameter

SEVERAL = ("--only", "--skip", "--for", "--attacks")
"""Of all commands."""


def names(_kind: Any, tokens: Sequence[Any]) -> list[str]:
    """Read the names that an option was given, each time one or several between commas."""
    parts = (part.strip() for token in tokens for part in token.value.split(","))
    return [part for part in parts if part]


Names = Annotated[list[str] | None, Parameter(consume_multiple=False, negative="", converter=names)]


def where_several(text: str, arguments: Sequence[str]) -> str:
    """Say how one option takes several names, where the words without a place follow its first."""
    words = list(arguments)
    option = next((word for word in reversed(words) if word in SEVERAL), "")
    first = words.index(option) + 1 if option else len(words)
    values = words[first : next((k for k in range(first, len(words)) if words[k][:1] == "-"), None)]
    if len(values) < 2 or repr(values[1]) not in text:
        return ""
    return f"; {option} takes several as {option} {','.join(values)}"

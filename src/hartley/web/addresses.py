"""The addresses of runs and rows."""

from __future__ import annotations

import os
from urllib.parse import quote


def run_path(run: str) -> str:
    """Return the address of a run."""
    return f"/runs/{_part(run)}"


def row_path(run: str, row: str) -> str:
    """Return the address of a row of a run."""
    return f"{run_path(run)}/rows/{_part(row)}"


def _part(name: object) -> str:
    # Names of files may hold bytes that are not UTF-8, which Python keeps as halves of characters.
    text = str(name)
    try:
        content = os.fsencode(text)
    except UnicodeEncodeError:  # halves that stand for no byte
        content = text.encode("utf-8", "replace")
    return quote(content, safe="")

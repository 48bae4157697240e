"""Read the tables beside this file, with the standard library only."""

from __future__ import annotations

import csv
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def rows(name: str) -> tuple[dict[str, str], ...]:
    """Return the rows of a tab-separated table, header line first, no quoting."""
    text = files(__package__).joinpath(name).read_text(encoding="utf-8")
    rows = csv.DictReader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    return tuple({key: "" if cell == "-" else cell for key, cell in row.items()} for row in rows)


@cache
def tree(name: str) -> dict[str, Any]:
    """Return a TOML table."""
    return tomllib.loads(files(__package__).joinpath(name).read_text(encoding="utf-8"))

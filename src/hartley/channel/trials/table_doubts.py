"""What looks wrong in a table that was made elsewhere: odd symbols, columns that nothing reads."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from hartley.core.control_characters import one_line
from hartley.core.records import COLUMNS

READ = ("truth", "guess", "score", "cluster", "run", "uses", "seconds", *COLUMNS)
"""Names of every column that is read."""
GROUPS = (
    *("user", "victim", "model", "seed", "fold", "document", "doc", "conversation", "session"),
    *("group", "patient", "speaker", "author", "subject", "person", "client", "device"),
)
"""Names under which other tools write what rows have in common."""
LARGEST = 2**20
"""A whole number above it is not a guess where no secret is: alphabets are smaller."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A column that is not read.

    Attributes:
        name: its name in the table.
        hint: what it may have been meant for, as a question; or an empty string.
    """

    name: str
    hint: str


def odd_symbol(name: str, values: Iterable[Any], *, largest: float = float("inf")) -> str:
    """Say what is wrong with the first value that cannot be a symbol; empty where all can be.

    Symbols are words, and whole numbers from 0 on; −1 is an abstention.

    Args:
        name: of the column.
        values: its values, each once at least.
        largest: whole numbers above it are not symbols.
    """
    expected = f"column `{name}` must be whole numbers (or words), got"
    for value in values:
        number = _number(value)
        if number is None:
            continue
        if number != number // 1:  # a fraction, infinity or NaN
            return f"{expected} {value}" + ("; is it a `score`?" if name == "guess" else "")
        if number < -1:
            return f"{expected} {value}; symbols are 0, 1, … and −1 is an abstention"
        if number > largest:
            return f"{expected} {value}, far above every secret; symbols are those of `truth`"
    return ""


def largest_symbol(secrets: Iterable[Any]) -> float:
    """Return the number above which a guess cannot be a symbol of the same alphabet."""
    numbers = [number for value in secrets if (number := _number(value)) is not None]
    return float("inf") if max(numbers, default=0.0) > LARGEST else float(LARGEST)


def printable(text: str, most: int = 200) -> str:
    """Return a text that a terminal can show: a file's own bytes may be in it."""
    return one_line(text, most)


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None
    except OverflowError:  # a whole number beyond the largest float
        return float("1e308") * (-1 if value < 0 else 1)


def hint_of(name: str, distinct: int, rows: int, *, labels: bool, clustered: bool) -> str:
    """Return what a column that is not read may have been meant for, as a question.

    Args:
        name: of the column.
        distinct: how many values it has.
        rows: how many rows.
        labels: whether its values are words or whole numbers.
        clustered: whether the table names its clusters in another column.
    """
    plain = name.lower().strip()
    usual = plain.removesuffix("_id").removesuffix("s") in GROUPS
    near = [] if usual else get_close_matches(plain, READ, n=1, cutoff=0.75)
    if near and not (clustered and near[0] in ("cluster", "run")):
        return f"is `{name}` a `{near[0]}`?"
    grouped = 2 < distinct <= rows / 2 or (usual and 1 < distinct < rows)
    return f"is `{name}` a `cluster`?" if labels and grouped and not clustered else ""

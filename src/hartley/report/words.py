"""What the words of a report mean: one text for the page and for ``hartley explain``."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

from hartley.report.format_numbers import metric


@dataclass(frozen=True, slots=True)
class Word:
    """One entry of ``words.toml``.

    Attributes:
        name: the word as it is printed.
        says: what it is, in plain words.
        how: how it is computed.
        read: where to read on, a page of ``docs`` and a heading in it.
        also: other words for it, and words that it explains beside.
        keys: names of metrics and fields of a run document, as patterns of fnmatch.
        page: whether every page defines it; else only pages that have one of its keys or flags.
    """

    name: str
    says: str
    how: str
    read: str
    also: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    page: bool = False

    def names_key(self, key: str) -> bool:
        """Whether a key of a run document is one of this entry."""
        return any(fnmatchcase(key, pattern) for pattern in self.keys)


@cache
def words() -> tuple[Word, ...]:
    """Return all entries, in the order of the file."""
    table = tomllib.loads(files("hartley.report").joinpath("words.toml").read_text("utf-8"))
    return tuple(
        Word(**{**entry, **{name: tuple(entry.get(name, ())) for name in ("also", "keys")}})
        for entry in table["word"]
    )


def find(word: str) -> Word | None:
    """Return the entry of a word, of another word for it, or of a key; None where there is none."""
    wanted = _plain(word)
    for entry in words():
        if wanted in map(_plain, (entry.name, *entry.also)):
            return entry
    key = word.strip().lower().replace(" ", "_")
    for entry in words():
        titles = (_plain(metric(pattern)) for pattern in entry.keys)
        if entry.names_key(key) or entry.names_key(word.strip()) or wanted in titles:
            return entry
    return None


def near(word: str, more: Iterable[str] = ()) -> list[str]:
    """Return up to three words that look like an unknown one.

    Args:
        word: the unknown one.
        more: other words that can be explained.
    """
    known = {_plain(name): name for entry in words() for name in (*entry.also, entry.name)}
    known |= {_plain(name): name for name in more}
    wanted = _plain(word)
    inside = [name for plain, name in known.items() if len(wanted) > 2 and wanted in plain]
    alike = [known[name] for name in get_close_matches(wanted, known, n=3, cutoff=0.6)]
    return list(dict.fromkeys([*alike, *inside]))[:3]


def of_page(channels: Iterable[Mapping[str, Any]]) -> list[Word]:
    """Return the entries that a page defines: the general ones, and those of its rows.

    Args:
        channels: rows of a run document.
    """
    keys: set[str] = set()
    flags: list[str] = []
    for row in channels:
        keys |= set(row.get("metrics") or ())
        flags += row.get("flags") or ()
    return [
        entry
        for entry in words()
        if entry.page
        or any(map(entry.names_key, keys))
        or any(flag.startswith(entry.name) for flag in flags)
    ]


def _plain(word: str) -> str:
    """Write a word so that case, dashes and underscores do not matter."""
    return re.sub(r"[\s_-]+", " ", word).strip().casefold()

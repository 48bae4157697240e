"""Which tool wrote a file, by its content, and what its importer reads from it."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol

from hartley.core.errors import BadTrials, UnknownName
from hartley.importers import formats
from hartley.importers.outcomes import Columns, Rates
from hartley.importers.source import Source
from hartley.kit.table_files import SUFFIXES
from hartley.kit.text_tables import PACKED

TEXT = (".csv", ".tsv", ".jsonl", ".ndjson")
TABLES = (*SUFFIXES, ".ndjson", *(kind + packed for kind in TEXT for packed in PACKED))
"""How names of plain tables end."""
TABLE = "table"
"""The name of a plain table, which no importer reads."""


class Format(Protocol):
    """A module of ``formats``; its docstring says which version of the tool was read."""

    READS: str
    """The tool and its files, in a few words."""

    def recognises(self, source: Source) -> bool:
        """Whether the file is of this tool, by its content."""

    def read(self, source: Source) -> Columns | Rates:
        """Return what the file holds.

        Raises:
            BadTrials: it is broken, or holds nothing that can be measured.
        """


@cache
def names() -> tuple[str, ...]:
    """Return the names of all formats, which are those of their files."""
    return tuple(sorted(module.name for module in iter_modules(formats.__path__)))


def format_of(name: str) -> Format:
    """Return a format by its name."""
    module: Format = import_module(f"hartley.importers.formats.{name}")
    return module


def read_results(
    path: Path, *, source: str = "", truth_file: Path | None = None, only: str = ""
) -> tuple[str, Columns | Rates | None]:
    """Return the name of a file's format, and what its importer reads.

    A JSON document that is a list of objects counts as a plain table.

    Args:
        path: the file; what is not recognised counts as a plain table, and is not read here.
        source: the name of the format; empty: of all of them. The content must be of it.
        truth_file: a second file with the secrets, where the first has only the scores.
        only: the part of the file that is measured, where it has several.

    Returns:
        The format's name, ``table`` for a plain table, and its columns or rates.

    Raises:
        BadTrials: the file is broken, or holds nothing that can be measured.
        UnknownName: there is not a format of that name.
    """
    if source and source not in (TABLE, *names()):
        raise UnknownName("format", source, (TABLE, *names()))
    if source == TABLE:
        return TABLE, None
    opened = Source(path, truth_file, only)
    for name in [source] if source else names():
        importer = format_of(name)
        if importer.recognises(opened):
            return name, importer.read(opened)
    if source:
        raise BadTrials(
            f"{path}: --from {source} must come with this: {format_of(source).READS}; the file's "
            "content is of another kind"
        )
    if is_records(opened.document):
        return TABLE, None
    if not path.name.lower().rstrip("/").endswith(TABLES):
        raise BadTrials(
            f"{path}: the results must be a table ({', '.join(SUFFIXES)}, or a list of objects in "
            f".json) or a file of another "
            f"tool, got neither; known are: {known_formats()}"
        )
    return TABLE, None


def is_records(document: Any) -> bool:
    """Whether a JSON document is a list of objects, which is a table too."""
    return isinstance(document, list) and bool(document) and all(map(_is_object, document))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def known_formats() -> str:
    """Return every format in a few words, for a message."""
    return "; ".join(format_of(name).READS for name in names())

"""A user's own texts from their files: one a row, or one a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hartley.core.errors import UsageError, did_you_mean
from hartley.core.input_files import read_bytes
from hartley.kit.table_files import Column, read_columns

TEXT, MESSAGES = "text", "messages"
"""Columns that are read where the user names none; the latter holds conversations."""
LARGEST = 2**31
"""Bytes of a file of lines."""

Write = Callable[[Sequence[Mapping[str, Any]]], str]
"""A conversation → the text that a model was trained on."""


def read_texts(path: Path, column: str, write: Write) -> tuple[list[str], str]:
    """Read the texts of a file; a missing one is empty.

    Args:
        path: ``.txt`` with a text a line, or a table of ``kit.table_files.SUFFIXES``.
        column: that holds the texts, or conversations in the form of chat APIs; empty: ``text``,
            else ``messages``, else the only one.
        write: makes a text of a conversation.

    Returns:
        The texts, and the name of the column that they are from; empty for lines.

    Raises:
        UsageError: the file cannot be read, or has no such column of texts.
    """
    if path.suffix.lower() == ".txt":
        content = read_bytes(path, "the file", UsageError, LARGEST)
        try:
            return content.decode("utf-8-sig").splitlines(), ""
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} must be text in UTF-8, got {error.reason}") from error
    table = read_columns(path, words=(column or TEXT,))
    name = _column(path, table, column)
    values: list[Any] = table[name].values.to_pylist()
    return [_text(path, name, number, v, write) for number, v in enumerate(values, 1)], name


def _column(path: Path, table: Mapping[str, Column], column: str) -> str:
    names = ", ".join(map(repr, table)) or "none"
    if column and column not in table:
        near = did_you_mean(column, table)
        raise UsageError(
            f"{path} has no column {column!r}{near or f'; --text-field must be one of {names}'}"
        )
    usual = [name for name in (column, TEXT, MESSAGES) if name in table]
    if not usual and len(table) > 1:
        raise UsageError(
            f"{path} must have a column {TEXT!r} or {MESSAGES!r}, got {names}: name yours with "
            "--text-field"
        )
    return (usual or list(table))[0]


def _text(path: Path, name: str, number: int, value: Any, write: Write) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(m, dict) and "role" in m for m in value):
        # Arrow gives every message all keys of the column.
        return write([{k: v for k, v in m.items() if v is not None} for m in value])
    raise UsageError(
        f"{name!r} of {path} must hold texts, or messages with a role and a content, got "
        f"{type(value).__name__} in row {number}"
    )

"""Read a run document as it is written, and hold it against its schema."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hartley.core.errors import StoreError, UsageError
from hartley.core.input_files import LARGEST_JSON, json_value, read_bytes
from hartley.reference.schema import check_document, check_schema


def read_run(where: Path, *, whole: bool = True) -> dict[str, Any]:
    """Return a run document from a run folder or a file.

    Args:
        where: the folder or the file.
        whole: hold all of it against the schema; else only that it is a run document.

    Raises:
        StoreError: it does not exist, is not JSON, or is not a document that this version can read.
    """
    path = where / "run.json" if where.is_dir() else where
    if not os.path.lexists(path):
        if os.path.lexists(where / "journal.jsonl"):
            raise StoreError(
                f"the run in {where} must be finished first; repeat the command that started it"
            )
        raise StoreError(f"no run in {where}: expected run.json")
    content = read_bytes(path, "the run document", StoreError, LARGEST_JSON)
    return parse_run(content, path, whole=whole)


def parse_run(content: bytes, path: Path, *, whole: bool = True) -> dict[str, Any]:
    """Return the run document of these bytes; ``path`` is named in messages.

    Raises:
        StoreError: they are not a document that this version can read.
    """
    try:
        document = json_value(content)
    except ValueError as error:
        cure = "; a table is measured first: hartley measure TABLE --json"
        other = cure if path.suffix.lower() != ".json" else ""
        raise StoreError(f"{path} is not a run document: {error}{other}") from error
    try:
        return dict((check_document if whole else check_schema)(document))
    except UsageError as error:
        raise StoreError(f"{path}: {error}") from error

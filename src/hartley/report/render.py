"""Pick the format. All is drawn from the run document alone: no scene, no model, no store."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from hartley.core.control_characters import visible_values
from hartley.core.errors import UsageError
from hartley.reference import check_schema
from hartley.reference.schema import baseline_rows

FORMATS = {
    "html": "one page that loads nothing",
    "json": "the run document itself",
    "md": "a table for a pull request",
    "modelcard": "a section of a model card, as Markdown",
    "dpia": "the measured part of a data protection impact assessment, as Markdown",
    "junit": "test cases for CI",
    "sarif": "findings for code scanning",
    "atlas": "a layer of MITRE's ATLAS Navigator",
}
"""A format is one row here and one file of this folder with its ``render(document) -> str``."""


def render(run: Mapping[str, Any], format: str) -> str:
    """Return the run document in one format.

    Args:
        run: a run document, of version 2 or 1.
        format: a key of ``FORMATS``.

    Raises:
        UsageError: an unknown format, or a document that this version cannot read.
    """
    check_format(format)
    document = check_schema(run) if format == "json" else page_document(run)
    text: str = import_module(f"hartley.report.{format}").render(document)
    return text


def page_document(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a run document whose texts are safe to print and whose rows are those of limits.

    Raises:
        UsageError: a document that this version cannot read.
    """
    # Reasons and names were written elsewhere.
    return with_baseline_rows(visible_values(check_schema(run)))


def with_baseline_rows(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run document whose rows are those of limits.

    Rows behind a defense are in ``defended``, where what is read off them has a place on a page.
    """
    rows = document["channels"]
    document = {**document, "channels": baseline_rows(document)}
    if document.get("suspects") or document.get("defenses"):
        # What would hide in a data set, and which defense to choose, is read off these rows.
        document["defended"] = [row for row in rows if not row.get("baseline", True)]
    return document


def check_format(format: str) -> None:
    """Refuse a format that is not in ``FORMATS``.

    Raises:
        UsageError: an unknown format; offers the nearest.
    """
    if format not in FORMATS:
        near = get_close_matches(format, FORMATS, n=1, cutoff=0.4)
        hint = f"; did you mean {near[0]}?" if near else ""
        if format.lower() == "pdf":
            hint = "; for a PDF print the page to a file: --format html --open"
        raise UsageError(f"no report format {format!r}: choose from {', '.join(FORMATS)}{hint}")

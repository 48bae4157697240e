"""The templates of the pages over a store. Everything they print is escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.report import templates

if TYPE_CHECKING:
    from jinja2 import Environment


def environment() -> Environment:
    """Return the one environment of this folder.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    return templates.environment(__package__, "serve")


def text(name: str) -> str:
    """Return one file of this folder."""
    return templates.text(name, __package__)

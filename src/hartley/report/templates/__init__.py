"""The page and the loop as templates. Everything they print is escaped."""

from __future__ import annotations

from functools import cache, partial
from importlib.resources import files
from typing import TYPE_CHECKING

from hartley.core.errors import MissingExtra

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment(folder: str = __package__, extra: str = "report") -> Environment:
    """Return the one environment: escaping always on, and a name that is not there is an error.

    Args:
        folder: package that holds the templates.
        extra: that brings jinja2, for the message where it is absent.

    Raises:
        MissingExtra: jinja2 is not installed.
    """
    try:
        import jinja2
    except ImportError:
        raise MissingExtra("jinja2", extra) from None
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(partial(text, folder=folder)),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def text(name: str, folder: str = __package__) -> str:
    """Return one file of this folder, or of another package."""
    return files(folder).joinpath(name).read_text(encoding="utf-8")

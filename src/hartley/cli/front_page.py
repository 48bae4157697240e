"""The first page of help, and the version: printed without any library.

Cyclopts would draw the page with rich, and read its words as Markdown: four times the time that
Python itself takes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from hartley.cli.terminal import WIDEST, say_text, width
from hartley.cli.verbs import EXIT_CODES, START, SUMMARY, VERBS

HELP = ("--help", "-h")
VERSION = ("--version",)
FLAGS = {
    "--help, -h": "Show this page; after a command, its own.",
    "--version": "Show the version.",
}


def answers(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for nothing but the first page or the version."""
    return not arguments or (len(arguments) == 1 and arguments[0] in (*HELP, *VERSION))


def asks_for_help(arguments: Sequence[str]) -> bool:
    """Whether a command line asks for the help of a verb, and for nothing else."""
    return len(arguments) == 2 and arguments[0] in VERBS and arguments[1] in HELP


def print_front_page(arguments: Sequence[str]) -> int:
    """Print what was asked for, folded at the width of the terminal; return the exit code 0."""
    from hartley import __version__

    if tuple(arguments) == VERSION:
        say_text(__version__)
    else:
        say_text("\n".join(front_page(min(width(), WIDEST))))
    return 0


def front_page(room: int) -> Iterator[str]:
    """Yield the lines of the page, in that many columns."""
    yield "Usage: hartley COMMAND"
    for paragraph in (SUMMARY, *START.split("\n\n"), EXIT_CODES):
        yield ""
        yield from _folded(paragraph, room, 0)
    yield from ("", "Commands; each says with --help what it takes:")
    wide = max(map(len, (*VERBS, *FLAGS))) + 4
    for name, what in (VERBS | FLAGS).items():
        first, *others = _folded(what, room, wide)
        yield f"  {name}".ljust(wide) + first.lstrip()
        yield from others


def _folded(text: str, room: int, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(
        text, max(room, indent + 20), initial_indent=margin, subsequent_indent=margin
    )

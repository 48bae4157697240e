"""A mistake in the syntax of a TOML text, in plain words with its place."""

from __future__ import annotations

import re

PLAIN = (
    (
        "Invalid value",
        'this value must be a number, true, false, a [list] or text in quotes: "text"',
    ),
    ("Invalid statement", "this line must be NAME = VALUE, [TABLE] or # and a comment"),
    ("Expected newline or end of document", "a line must end after its value; text needs quotes"),
    ("Expected '=' after a key", "a name must have = and a value behind it"),
    (
        "Invalid initial character for a key",
        "a name must begin with a letter, a digit, _, - or a quote",
    ),
    ("Cannot overwrite a value", "this name must have one value, and it has one already"),
    ("Duplicate inline table key", "this name must have one value, and it has one already"),
    ("Cannot declare", "this table must have one heading, and it has one already"),
    (
        "Cannot mutate immutable namespace",
        "a table in {braces} must be whole: no line may add to it",
    ),
    ("Cannot redefine namespace", "this table must have one heading, and it has one already"),
    ("Expected ']' at the end of a table", "the heading of a table must end with ]"),
    ("Expected ']]' at the end of an array", "the heading of a list of tables must end with ]]"),
    ("Unclosed array", "a list must end with ], and have commas between its values"),
    (
        "Unclosed inline table",
        "a table in {braces} must end with }, and have commas between its lines",
    ),
    ("Unterminated string", "text must end with the quote that it began with"),
    ("Illegal character '\\n'", "text must end on its line, with the quote that it began with"),
    ("Illegal character", "this character must be written as an escape, such as \\u0007"),
    ("Found invalid character", "this character must be within quotes"),
    (
        "Unescaped '\\' in a string",
        "a \\ in text must be doubled: \\\\; or put the text in 'single quotes'",
    ),
    ("Invalid hex value", "\\u must have 4 hexadecimal digits behind it, and \\U must have 8"),
    ("Escaped character is not", "\\u must name a character of Unicode"),
    ("Invalid date or datetime", "this date must be in the calendar: YYYY-MM-DD"),
    ("Expected", "text must end with the quotes that it began with"),
)
"""How the messages of ``tomllib`` begin, and the same in plain words; the first that fits."""


def located(message: str, text: str) -> str:
    """Return the message of a ``tomllib.TOMLDecodeError`` in plain words, behind line and column.

    Args:
        message: the error's own, which is returned where it is of another version.
        text: that was read; a mistake at its end has no place in the message.
    """
    place = re.search(r" ?\(at line (\d+), column (\d+)\)$", message)
    if place:
        line, column = place.groups()
        words = message[: place.start()]
    else:
        lines = text.split("\n")
        line, column = str(len(lines)), str(len(lines[-1]) + 1)
        words = message.removesuffix(" (at end of document)")
    plain = next((plain for start, plain in PLAIN if words.startswith(start)), words)
    return f"line {line}, column {column}: {plain}"

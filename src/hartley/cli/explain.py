"""``hartley explain``: what a word of a report means."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from typing import Annotated

from cyclopts import App, Parameter

from hartley.cli.terminal import note, print_json, print_table, say, width
from hartley.core.errors import UsageError

app = App(name="explain")

WIDEST = 96
"""Characters of a line of prose, where the terminal has more."""


@app.default
def explain(
    *words: str,
    json: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Explain a word that a report, a table or a run document prints.

    Parameters
    ----------
    words
        The word, such as certified, blind AUC, TPR at 1 % FPR, epsilon_lower or FLAWED SPLIT; all
        words if left out.
    json
        Print one JSON document.
    """
    from hartley import catalog
    from hartley.report import words as entries

    if not words:
        return _all(json=json)
    word = " ".join(words)
    entry = entries.find(word)
    if entry is not None:
        if json:
            print_json(asdict(entry))
            return 0
        say(entry.name)
        _paragraph(entry.says)
        _paragraph(f"How it is computed: {entry.how}")
        if entry.also:
            _paragraph(f"The same entry: {', '.join(entry.also)}")
        if entry.keys:
            _paragraph(f"In run.json: {', '.join(entry.keys)}")
        say(f"  Read on: docs/{entry.read}")
        return 0
    part_name = word.casefold().replace(" ", "_").replace("-", "_")
    parts = [e for e in catalog.entries() if e.name == part_name]
    if parts:
        if json:
            print_json([e.as_json() for e in parts])
            return 0
        for part in parts:
            say(part.name)
            article = "an" if part.kind[0] in "aeiou" else "a"
            _paragraph(f"{article} {part.kind}: {part.summary}")
            say(f"  Read on: hartley show {part.name}")
        return 0
    near = entries.near(word, [e.name for e in catalog.entries()])
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "hartley explain lists all"
    raise UsageError(f"no entry explains {word!r}; {hint}")


def _all(*, json: bool) -> int:
    from hartley.report import words as entries

    if json:
        print_json([asdict(entry) for entry in entries.words()])
        return 0
    print_table(
        ("word", "what it is"),
        [(e.name, e.says.partition(". ")[0].rstrip(".")) for e in entries.words()],
    )
    note("explain one with: hartley explain WORD; attacks and other parts: hartley show NAME")
    return 0


def _paragraph(text: str) -> None:
    """Print a paragraph, indented."""
    for line in textwrap.wrap(text, min(width(), WIDEST) - 2, break_on_hyphens=False):
        say(f"  {line}")

"""A pack as one page that loads nothing: sentences with their ids, which lead to the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any
from urllib.parse import quote

from hartley.report.evidence.statements import (
    MEASURED,
    NOT,
    OPEN,
    PARTLY,
    Answer,
    Evidence,
    Part,
    Statement,
    clause_id,
    row_id,
)

CSS = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;
color:#1b1f24;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.25rem;border-bottom:1px solid #d0d7de;margin-top:2.5rem}
h3{font-size:1rem;margin-bottom:.3rem}ul{margin:.3rem 0 1rem;padding-left:1.2rem}
li{margin:.2rem 0}code{font-size:.72rem;color:#57606a;overflow-wrap:anywhere}
code a,nav a{color:inherit}nav p{margin:.3rem 0}.state{font-weight:600;
border-radius:.3rem;padding:0 .4rem;border:1px solid currentColor;font-size:.8rem}
.measured{color:#0b5394}.partly{color:#7a5c00}
.open{color:#a40e26}.not{color:#57606a}details{display:inline}summary{display:inline;
cursor:pointer;font-size:.72rem;color:#57606a}:target{background:#fff8c5}
@media (prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}code,summary,.not{
color:#9198a1}.measured{color:#79c0ff}.partly{color:#e3b341}.open{color:#ff7b72}
:target{background:#3b2f00}h2{border-color:#30363d}}
@media print{details>code{display:inline}}
""".strip()
LONGEST = 6
"""Ids that are shown at once; more are folded."""


def render(evidence: Evidence) -> str:
    """Return a pack as one page."""
    name = escape(str(evidence.source.document["id"]))
    anchors = {row_id(row) for row, _ in evidence.rows}
    blocks = [
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>Evidence of the run {name}</title>\n<style>{CSS}</style>\n</head>\n<body>",
        f"<h1>Evidence of the run {name}</h1>",
        "<h2>The run</h2>",
        _list(evidence.run, anchors),
    ]
    for part in evidence.parts:
        blocks.append(f"<h2>{escape(part.set.title)}, {escape(part.set.edition)}</h2>")
        blocks.append(_list(part.statements, anchors))
        blocks.append(_overview(part))
        for answer in part.answers:
            blocks.append(
                f'<h3 id="{_place(answer)}">{escape(answer.clause.id)} '
                f'<span class="state {_tone(answer.state)}">{answer.state}</span></h3>'
            )
            blocks.append(_list(answer.statements, anchors))
    blocks += ["<h2>All measured rows</h2>", _rows(evidence.rows)]
    if evidence.joined:
        blocks += ["<h2>Chains and loops</h2>", _list(evidence.joined, anchors)]
    if evidence.unplayed:
        blocks += ["<h2>What was not played</h2>", _list(evidence.unplayed, anchors)]
    return "\n".join([*blocks, "</body>", "</html>"]) + "\n"


def _overview(part: Part) -> str:
    """Draw links to the clauses of a document, by state."""
    lines = []
    for state in (MEASURED, PARTLY, OPEN, NOT):
        here = [answer for answer in part.answers if answer.state == state]
        links = ", ".join(
            f'<a href="#{quote(_place(one))}">{escape(one.clause.id)}</a>' for one in here
        )
        if here:
            lines.append(f'<p><span class="state {_tone(state)}">{state}</span> {links}</p>')
    return f"<nav>{''.join(lines)}</nav>"


def _place(answer: Answer) -> str:
    return clause_id(answer.clause)


def _tone(state: str) -> str:
    return {MEASURED: "measured", PARTLY: "partly", NOT: "not"}.get(state, "open")


def _list(statements: Iterable[Statement], anchors: set[str]) -> str:
    return f"<ul>\n{''.join(_item(one, anchors) for one in statements)}</ul>"


def _rows(rows: Iterable[tuple[Mapping[str, Any], Statement]]) -> str:
    items = "".join(_item(one, set(), anchor=row_id(row)) for row, one in rows)
    return f"<ul>\n{items}</ul>"


def _item(statement: Statement, anchors: set[str], anchor: str = "") -> str:
    """Draw one sentence with its ids, of which those of measured rows lead to the row."""
    rests = " ".join(statement.rests)
    ids = [
        f'<code><a href="#{quote(name)}">{escape(name)}</a></code>'
        if name in anchors
        else f"<code>{escape(name)}</code>"
        for name in statement.rests
    ]
    mark = f' id="{escape(anchor)}"' if anchor else ""
    folded = f"<details><summary><code>{len(ids)} ids</code></summary> {' '.join(ids)}</details>"
    links = folded if len(ids) > LONGEST else " ".join(ids)
    return (
        f'<li{mark} data-rests="{escape(rests)}">{escape(statement.text, quote=False)} {links}'
        "</li>\n"
    )

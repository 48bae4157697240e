"""A pack as Markdown: a list of sentences, each with its ids behind it."""

from __future__ import annotations

from collections.abc import Iterable

from hartley.report.evidence.statements import Evidence, Statement
from hartley.report.markdown import cell


def render(evidence: Evidence) -> str:
    """Return a pack as Markdown."""
    blocks = [f"# Evidence of the run {cell(evidence.source.document['id'])}"]
    blocks += ["## The run", _points(evidence.run)]
    for part in evidence.parts:
        blocks += [f"## {cell(part.set.title)}, {cell(part.set.edition)}", _points(part.statements)]
        for answer in part.answers:
            blocks.append(f"### {cell(answer.clause.id)}: {answer.state}")
            blocks.append(_points(answer.statements))
    blocks += ["## All measured rows", _points(one for _, one in evidence.rows)]
    if evidence.joined:
        blocks += ["## Chains and loops", _points(evidence.joined)]
    blocks += ["## What was not played", _points(evidence.unplayed)]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _points(statements: Iterable[Statement]) -> str:
    return "\n".join(
        f"- {cell(one.text)} {' '.join(f'`{name}`' for name in one.rests)}" for one in statements
    )

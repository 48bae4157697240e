"""Clauses of standards and laws, and which measurement of Hartley answers each.

``clause_sets.tsv`` has the documents with their editions, ``clauses.tsv`` their clauses in words of
Hartley's own. Which measurement answers a clause is Hartley's judgement, as ``frameworks`` says of
its ``asserted`` ids; ``seen`` says what an id and its words were checked with.
"""

from __future__ import annotations

from dataclasses import dataclass

from hartley.core.errors import UsageError, did_you_mean
from hartley.reference.tables import rows

KINDS = ("class", "game", "attack", "defense", "defended", "deployed", "fact")
"""What a measure may name: baseline rows of a class, a game or an attack; rows behind one defense;
rows of a class behind any, or behind one that acts on the deployed model; or a part of the run
document. Names that answer alike are joined by ``|``. The measure ``any`` is every baseline row."""


@dataclass(frozen=True, slots=True)
class ClauseSet:
    """A document with clauses.

    Attributes:
        name: what the command line calls it.
        scheme: a short name of the document for ids.
        title: its title.
        edition: the edition that the clauses are of.
        source: where the document is published.
        asks: one sentence about whom it asks for what.
        checked: what the title and the edition were checked with.
    """

    name: str
    scheme: str
    title: str
    edition: str
    source: str
    asks: str
    checked: str


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause.

    Attributes:
        set: name of its document.
        id: as the document numbers it.
        words: what it asks, in one sentence of Hartley's own.
        measures: what answers it, ``kind:name`` each or ``any``; none where no run can.
        metrics: usual metrics that are quoted beside the bits.
        never: one sentence about what a run can never show of it.
        checked: what the id and the words were checked with.
    """

    set: str
    id: str
    words: str
    measures: tuple[str, ...]
    metrics: tuple[str, ...]
    never: str
    checked: str


def clause_sets() -> dict[str, ClauseSet]:
    """Return every document, by name."""
    return {
        row["set"]: ClauseSet(
            row["set"],
            row["scheme"],
            row["title"],
            row["edition"],
            row["source"],
            row["asks"],
            row["seen"],
        )
        for row in rows("clause_sets.tsv")
    }


def clauses(name: str) -> tuple[Clause, ...]:
    """Return the clauses of a document, in its order.

    Args:
        name: a key of ``clause_sets``.

    Raises:
        UsageError: there is no such document; offers them all.
    """
    known = clause_sets()
    if name not in known:
        listed = ", ".join(known)
        raise UsageError(
            f"no document named {name!r}{did_you_mean(name, known)}; there are {listed}"
        )
    return tuple(
        Clause(
            row["set"],
            row["id"],
            row["words"],
            tuple(row["measures"].split()),
            tuple(row["metrics"].split()),
            row["never"],
            row["seen"],
        )
        for row in rows("clauses.tsv")
        if row["set"] == name
    )

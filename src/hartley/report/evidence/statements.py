"""One sentence of a pack with what it rests on, and the ids that such a sentence may name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from hartley.reference.clauses import Clause, ClauseSet, clause_sets, clauses
from hartley.report.findings import class_of
from hartley.report.format_numbers import plain

KINDS = ("row", "run", "verdict", "journal", "signature", "clause", "set")
"""What an id begins with: a row of the run, a fact of its document, of the verdict in force, of
its journal, of its signature, a clause or a document of the tables of Hartley."""

MEASURED, PARTLY, OPEN, NOT = "measured", "partly measured", "inconclusive", "not measured"
"""The states of a clause. None of them says that a clause is fulfilled."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence.

    Attributes:
        text: the sentence, without markup.
        rests: ids of what it rests on; ``References`` resolves them.
    """

    text: str
    rests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a run says about a clause.

    Attributes:
        clause: of the tables.
        state: measured, partly measured, inconclusive or not measured.
        statements: in order.
        rows: ids of the measured rows that answer it.
        broken: those of the statements that say that rows are above a limit, or worse than in an
            earlier run.
    """

    clause: Clause
    state: str
    statements: tuple[Statement, ...]
    rows: tuple[str, ...]
    broken: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What a run says about one document.

    Attributes:
        set: the document.
        statements: about the document itself.
        answers: one for each of its clauses.
    """

    set: ClauseSet
    statements: tuple[Statement, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """A run, with all that a pack may rest on.

    Attributes:
        document: the run document, as its journal vouches for it.
        verdict: the verdict in force: the one that was saved, else that of the document.
        run_sha256: digest of ``run.json`` in the journal.
        chain: digest of the last line of the journal.
        signer: fingerprint of the key that signed the run; empty where none did.
        later_verdict: whether the verdict was saved after the run was signed.
    """

    document: Mapping[str, Any]
    verdict: Mapping[str, Any]
    run_sha256: str
    chain: str
    signer: str = ""
    later_verdict: bool = False

    @property
    def seed(self) -> str:
        """What identifiers of a pack follow from: the run, and all that was judged of it since."""
        return f"{self.run_sha256} {self.chain}"

    @property
    def moments(self) -> tuple[str, str, str]:
        """When the run began, when it ended, and when it was judged last."""
        created = str(self.document["created"])
        finished = str(self.document.get("finished") or created)
        judged = self.verdict.get("judged")
        time = str(judged["time"]) if isinstance(judged, Mapping) else finished
        return created, finished, time


@dataclass(frozen=True, slots=True)
class Evidence:
    """A whole pack, before it is drawn.

    Attributes:
        source: the run.
        run: statements about the run and its verdict.
        parts: one for each document.
        rows: the measured rows, with one statement each.
        joined: statements about chains and loops of attacks.
        unplayed: statements about what was not played.
    """

    source: Source
    run: tuple[Statement, ...]
    parts: tuple[Part, ...]
    rows: tuple[tuple[Mapping[str, Any], Statement], ...]
    unplayed: tuple[Statement, ...]
    joined: tuple[Statement, ...] = ()

    def all(self) -> Iterable[Statement]:
        """Yield every statement."""
        yield from self.run
        for part in self.parts:
            yield from part.statements
            for answer in part.answers:
                yield from answer.statements
        yield from (statement for _, statement in self.rows)
        yield from self.joined
        yield from self.unplayed


def token(text: str) -> str:
    """Return a name as a token of letters, digits, dots and dashes."""
    return re.sub(r"[^\w.]+", "-", text).strip("-")


def row_id(row: Mapping[str, Any]) -> str:
    """Return the id of a row of the run."""
    return f"row:{quote(str(row['id']), safe='')}"


def row_ids(rows: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the ids of rows, each once."""
    return tuple(dict.fromkeys(map(row_id, rows)))


def fact(kind: str, *keys: str | int) -> str:
    """Return the id of a fact: its place in a document, as a JSON pointer."""
    pieces = (str(key).replace("~", "~0").replace("/", "~1") for key in keys)
    return f"{kind}:/{'/'.join(quote(piece, safe='~') for piece in pieces)}"


def clause_id(clause: Clause) -> str:
    """Return the id of a clause of the tables."""
    return f"clause:{clause.set}:{token(clause.id)}"


def set_id(clause_set: ClauseSet) -> str:
    """Return the id of a document of the tables."""
    return f"set:{clause_set.name}"


def quoted(text: object) -> str:
    """Return text of somewhere else in quotation marks, where it is one part of a sentence."""
    inner = " ".join(str(text).split()).replace("“", "'").replace("”", "'")
    return f"“{inner}”"


def word(text: object) -> str:
    """Return a name as it is, or in quotation marks where a sentence could not hold it."""
    name = " ".join(str(text).split())
    return name if re.fullmatch(r"[\w /+:()'→=,-]+", name) else quoted(name)


def name_of(row: Mapping[str, Any]) -> str:
    """Name a row: its attack, and its class."""
    return f"{word(row['attack'])} ({word(plain(class_of(row)))})"


class References:
    """Resolve the ids that statements rest on.

    Args:
        source: of the pack.
    """

    def __init__(self, source: Source) -> None:
        self._facts: dict[str, Any] = {
            "run": source.document,
            "verdict": source.verdict,
            "journal": {"run_sha256": source.run_sha256, "chain": source.chain},
            "signature": {
                "fingerprint": source.signer,
                "later_verdict": source.later_verdict,
            },
        }
        sets = clause_sets()
        self._ids = {
            *map(row_id, source.document["channels"]),
            *map(set_id, sets.values()),
            *(clause_id(one) for name in sets for one in clauses(name)),
        }

    def resolves(self, reference: str) -> bool:
        """Whether an id is that of something that there is."""
        kind, _, rest = reference.partition(":")
        if kind in self._facts:
            return _is_there(self._facts[kind], rest)
        return reference in self._ids


def _is_there(value: Any, pointer: str) -> bool:
    """Whether a JSON pointer leads to something of a document."""
    if not pointer.startswith("/"):
        return False
    for piece in pointer[1:].split("/"):
        key = unquote(piece).replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping) and key in value:
            value = value[key]
        elif isinstance(value, list | tuple) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            return False
    return True


def uuid_of(seed: str, *names: str) -> str:
    """Return an identifier that follows from a seed and from names: the same at each writing."""
    from uuid import NAMESPACE_URL, uuid5

    return str(uuid5(NAMESPACE_URL, "\n".join(("urn:hartley:evidence", seed, *names))))

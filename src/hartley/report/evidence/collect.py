"""From a run to the statements of a pack: which rows answer which clause, and what they say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hartley.core.control_characters import visible_values
from hartley.engine.result.waivers import AGAINST
from hartley.reference.clauses import Clause, clause_sets, clauses
from hartley.reference.schema import baseline_rows
from hartley.report.evidence import row_words
from hartley.report.evidence.edge_words import of_edges, of_loops
from hartley.report.evidence.run_words import of_run, of_unplayed
from hartley.report.evidence.statements import (
    MEASURED,
    NOT,
    OPEN,
    PARTLY,
    Answer,
    Evidence,
    Part,
    Source,
    Statement,
    clause_id,
    fact,
    quoted,
    row_ids,
    set_id,
)
from hartley.report.findings import class_of
from hartley.report.format_numbers import count, number, plain, widest

Row = Mapping[str, Any]
DEPLOYED = ("output", "budget", "system")
"""Stages of defenses that act on a model in use."""
SECOND_HAND = "second-hand"
"""What ``checked`` begins with where the document itself was not read."""


def collect(source: Source, names: Sequence[str]) -> Evidence:
    """Return what a run says about documents.

    Args:
        source: the run; text of somewhere else in it is made visible here.
        names: of the documents, keys of ``clause_sets``.

    Raises:
        UsageError: there is no such document.
    """
    source = Source(
        visible_values(source.document),
        visible_values(source.verdict),
        source.run_sha256,
        source.chain,
        source.signer,
        source.later_verdict,
    )
    rows: list[Row] = list(baseline_rows(source.document))
    stages = {one["name"]: one.get("stage") for one in source.document.get("defenses") or ()}
    behind = [
        {**row, "stage": stages.get(str(row.get("added")))}
        for row in source.document["channels"]
        if not row.get("baseline", True)
    ]
    measured = [row for row in (*rows, *behind) if row["status"] == "measured"]
    edges = list(of_edges(source.document))
    return Evidence(
        source,
        tuple(of_run(source, rows)),
        tuple(_part(name, source, rows, behind, edges) for name in dict.fromkeys(names)),
        tuple((row, row_words.measured(row)) for row in measured),
        tuple(of_unplayed(rows)),
        (*(words for _, words in edges), *of_loops(source.document)),
    )


Edges = Sequence[tuple[str, Statement]]
"""Statements about chains, each with the id of the chain's row."""


def _part(
    name: str, source: Source, rows: Sequence[Row], behind: Sequence[Row], edges: Edges
) -> Part:
    listed = clauses(name)
    document = clause_sets()[name]
    answers = tuple(_answer(clause, source, rows, behind, edges) for clause in listed)
    states = {state: sum(a.state == state for a in answers) for state in (MEASURED, PARTLY, OPEN)}
    others = len(answers) - sum(states.values())
    about = (set_id(document),)
    return Part(
        document,
        (
            Statement(document.asks, about),
            Statement(
                f"The edition is {quoted(document.edition)}, and the clauses are in the words of "
                "Hartley and not in those of the document.",
                about,
            ),
            Statement(
                f"Of {count(len(answers), 'entry', 'entries')} of the table, which is a selection, "
                f"{number(states[MEASURED])} are measured, {number(states[PARTLY])} are partly "
                f"measured, {number(states[OPEN])} are inconclusive and {number(others)} are not "
                "measured.",
                (*about, fact("run", "channels")),
            ),
            Statement(f"Title and edition were checked with {quoted(document.checked)}.", about),
            Statement(
                "Which measurement answers a clause is Hartley's judgement, and whether a clause "
                "is fulfilled is decided by persons.",
                about,
            ),
        ),
        answers,
    )


def _answer(
    clause: Clause, source: Source, rows: Sequence[Row], behind: Sequence[Row], edges: Edges
) -> Answer:
    """Return what a run says about one clause."""
    about = (clause_id(clause),)
    absent: list[tuple[str, list[Row]]] = []
    matches: dict[str, Row] = {}
    facts: list[Statement] = []
    for measure in clause.measures:
        those = matching(measure, rows, behind)
        facts_of = list(_facts(measure, source))
        facts += facts_of
        matches |= {row["id"]: row for row in those}
        measured = any(row["status"] == "measured" for row in those) or bool(facts_of)
        if not measured:
            absent.append((measure, those))
    played = [row for row in matches.values() if row["status"] == "measured"]
    sound = [row for row in played if not row.get("flags")]
    state = _state(bool(sound or facts), bool(played), bool(absent), matches.values())
    checks = list(_checks(source.verdict, matches))
    statements = [
        Statement(clause.words, about),
        *_state_words(clause, state, sound, played, len(facts)),
        *facts,
        *_groups(sound, clause, rows),
        *(words for name, words in edges if name in {str(row["id"]) for row in sound}),
        *row_words.flagged(played),
        *row_words.failed([row for row in matches.values() if row["status"] == "failed"]),
        *_absent(clause, absent),
        *(words for _, words in checks),
        *row_words.weaknesses(played),
    ]
    if sound:
        statements.append(
            Statement(
                "These are lower bounds by attacks: an attack that was not played may do better.",
                row_ids(sound),
            )
        )
    statements.append(Statement(clause.never, about))
    if clause.checked.startswith(SECOND_HAND):
        words = f"Number and words of this clause were checked {quoted(clause.checked)}."
        statements.append(Statement(words, about))
    return Answer(
        clause,
        state,
        tuple(statements),
        tuple(row["id"] for row in played),
        tuple(words for status, words in checks if status == "over"),
    )


def matching(measure: str, rows: Sequence[Row], behind: Sequence[Row]) -> list[Row]:
    """Return the rows that a measure of the tables names.

    Args:
        measure: ``any``, or one of ``hartley.reference.clauses.KINDS`` with a name.
        rows: without an added defense.
        behind: those behind one, each with the ``stage`` at which it acts.
    """
    kind, _, alternatives = measure.partition(":")
    names = set(alternatives.split("|"))
    named: dict[str, Callable[[Row], bool]] = {
        "any": lambda _: True,
        "class": lambda row: class_of(row) in names,
        "game": lambda row: row.get("game") in names,
        "attack": lambda row: _attack(row) in names,
        "defense": lambda row: bool(names & set(str(row.get("added") or "").split("+"))),
        "defended": lambda row: class_of(row) in names,
        "deployed": lambda row: class_of(row) in names and row.get("stage") in DEPLOYED,
        "fact": lambda _: False,
    }
    among = behind if kind in ("defense", "defended", "deployed") else rows
    return [row for row in among if named[kind](row)]


def _attack(row: Row) -> str:
    """Name the attack of a row, whose label may be its id."""
    stages = row["experiment"]["stages"]
    return str(stages[-1]["attack"]) if stages else str(row["attack"])


def _facts(measure: str, source: Source) -> Iterator[Statement]:
    """Yield what a part of the run document says, for the measure ``fact:/suspects``."""
    scan = source.document.get("suspects") if measure == "fact:/suspects" else None
    if scan:
        yield Statement(
            f"A scan flags {number(scan['flagged'])} of {number(scan['n'])} records, where "
            f"{number(scan['expected'])} are expected if all are clean.",
            tuple(fact("run", "suspects", key) for key in ("flagged", "n", "expected")),
        )


def _state(sound: bool, played: bool, absent: bool, rows: Any) -> str:
    if sound:
        return PARTLY if absent else MEASURED
    failed = any(row["status"] == "failed" for row in rows)
    return OPEN if played or failed else NOT


def _state_words(
    clause: Clause, state: str, sound: Sequence[Row], played: Sequence[Row], facts: int
) -> Iterator[Statement]:
    about = (clause_id(clause),)
    if not clause.measures:
        yield Statement("Not measured: no measurement of Hartley answers this clause.", about)
    elif state == NOT:
        yield Statement(
            "Not measured: the run has no measured row that answers this clause.",
            (*about, fact("run", "channels")),
        )
    elif state == OPEN:
        yield Statement(
            "Inconclusive: every row that could answer this clause is flagged or failed.",
            (*about, fact("run", "channels")),
        )
    else:
        flags = len(played) - len(sound)
        also = f", and {count(flags, 'row')} more is flagged" if flags == 1 else ""
        also = f", and {count(flags, 'row')} more are flagged" if flags > 1 else also
        part = "Partly measured" if state == PARTLY else "Measured"
        scan = " and a scan of the records" if facts else ""
        yield Statement(
            f"{part} by {count(len(sound), 'row')}{scan}{also}.", (*about, *row_ids(played))
        )


def _groups(
    sound: Sequence[Row], clause: Clause, rows_without: Sequence[Row]
) -> Iterator[Statement]:
    """Yield, of each class and unit without an added defense and behind each, the widest row."""
    without = {row["id"]: row for row in rows_without if row["status"] == "measured"}
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in sound:
        kind = (class_of(row), str(row.get("unit") or "use"), str(row.get("added") or ""))
        groups.setdefault(kind, []).append(row)
    for (*_, added), rows in groups.items():
        best = max(rows, key=_certified) if added else widest(rows) or rows[0]
        yield row_words.measured(best)
        if added and best.get("baseline_id") in without:
            yield row_words.without(best, without[best["baseline_id"]])
        if not added:
            yield from row_words.together(rows)
            yield from row_words.usual_metrics(best, clause.metrics)


def _certified(row: Row) -> tuple[float, float]:
    low = row["bits"].get("low")
    return (-1.0 if low is None else low, row["bits"]["point"])


def _absent(clause: Clause, absent: Sequence[tuple[str, Sequence[Row]]]) -> Iterator[Statement]:
    """Yield which measures of a clause have no measured row, and why."""
    for measure, rows in absent:
        name = _measure_words(measure)
        reasons: dict[str, list[Row]] = {}
        for row in rows:
            if row["status"] == "skipped":
                reasons.setdefault(str(row.get("reason") or "no reason given"), []).append(row)
        for reason, those in reasons.items():
            yield Statement(
                f"Not measured: {count(len(those), 'row')} of {name}, as {quoted(reason)}.",
                row_ids(those),
            )
        if not rows:
            yield Statement(
                f"Not measured: the run has no row of {name}.",
                (clause_id(clause), fact("run", "channels")),
            )


def _measure_words(measure: str) -> str:
    kind, _, alternatives = measure.partition(":")
    names = [plain(one) if "class" in kind else one for one in alternatives.split("|")]
    name = " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
    if kind == "any":
        return "any attack"
    if kind == "defended":
        return f"the class {name} behind an added defense"
    if kind == "deployed":
        return f"the class {name} behind an added defense of the deployed model"
    if kind == "fact":
        return "a scan of records for poison"
    return f"the {kind} {name}"


JUDGED = {
    ("over", False): "above the limit that the run was judged by",
    ("over", True): "worse than in the earlier run",
    ("inconclusive", False): "not settled against the limit that the run was judged by",
    ("inconclusive", True): "not settled against the earlier run",
    ("waived", False): "within a limit that a waiver raised",
    ("waived", True): "within a margin that a waiver raised",
    ("pass", False): "within the limit that the run was judged by",
    ("pass", True): "no worse than in the earlier run, beyond the margin",
}
"""What became of checks, by status and whether they compare with an earlier run."""


def _checks(verdict: Mapping[str, Any], rows: Mapping[str, Row]) -> Iterator[tuple[str, Statement]]:
    """Yield how the rows of a clause are judged, with the status, where checks are about them."""
    judged: dict[tuple[str, bool], list[tuple[int, Row]]] = {}
    for k, check in enumerate(verdict.get("checks") or ()):
        if check.get("row") in rows:
            waived = check["status"] == "pass" and check.get("waiver")
            state = "waived" if waived else str(check["status"])
            kind = (state, check["limit"] == AGAINST)
            judged.setdefault(kind, []).append((k, rows[check["row"]]))
    for kind, what in JUDGED.items():
        if those := judged.get(kind):
            is_are = "is" if len(those) == 1 else "are"
            about = (*(fact("verdict", "checks", k) for k, _ in those),
                     *row_ids(row for _, row in those))  # fmt: skip
            words = f"{count(len(those), 'check')} of these rows {is_are} {what}."
            yield kind[0], Statement(words, about)

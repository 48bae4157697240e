"""A pack as OSCAL assessment results: an observation a sentence, a finding where a limit is broken.

There is never a finding that a clause is satisfied: evidence by attacks is a lower bound. Written
for OSCAL 1.2.1, with identifiers that follow from the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from hartley.report.evidence.lint import RESTS
from hartley.report.evidence.statements import (
    NOT,
    Answer,
    Evidence,
    Part,
    Statement,
    row_id,
    token,
    uuid_of,
)

VERSION = "1.2.1"
PLAYED = ("row:", "run:/edges/", "run:/loops/")
"""What the ids of a sentence about something that was played begin with."""
NAMESPACE = "urn:hartley:evidence"


def render(evidence: Evidence) -> str:
    """Return a pack as a JSON document."""
    document = evidence.source.document
    created, finished, judged = evidence.source.moments
    of = evidence.source.seed
    body = {
        "uuid": uuid_of(of, "assessment-results", *(part.set.name for part in evidence.parts)),
        "metadata": {
            "title": f"Evidence of the run {document['id']}",
            "last-modified": judged,
            "version": document["version"],
            "oscal-version": VERSION,
            "props": [
                _property("run", document["id"]),
                _property("run-sha256", evidence.source.run_sha256),
            ],
        },
        "import-ap": {"href": f"#{uuid_of(of, 'plan.toml')}"},
        "results": [_result(evidence, part, created, finished) for part in evidence.parts],
        "back-matter": {"resources": list(_resources(evidence))},
    }
    return json.dumps({"assessment-results": body}, indent=1, ensure_ascii=False) + "\n"


def control_id(part: Part, answer: Answer) -> str:
    """Return the id of a clause as a control of OSCAL."""
    return f"{token(part.set.name)}_{token(answer.clause.id)}"


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": name, "ns": NAMESPACE, "value": value}


def _rests(names: Iterable[str]) -> list[dict[str, str]]:
    return [_property(RESTS, name) for name in names]


def _result(evidence: Evidence, part: Part, created: str, finished: str) -> dict[str, Any]:
    of = evidence.source.seed
    here = [control_id(part, a) for a in part.answers if a.state != NOT]
    others = [control_id(part, a) for a in part.answers if a.state == NOT]
    excluded = [{"control-id": name} for name in others]
    chosen: dict[str, Any] = {"include-controls": [{"control-id": name} for name in here]}
    if not here:
        chosen = {"include-all": {}}
    if excluded:
        chosen["exclude-controls"] = excluded
    findings = [
        _finding(evidence, part, answer, one) for answer in part.answers for one in answer.broken
    ]
    about, *others_about = part.statements
    return {
        "uuid": uuid_of(of, "result", part.set.name),
        "title": f"{part.set.title}, {part.set.edition}",
        "description": about.text,
        "start": created,
        "end": finished,
        "props": _rests(about.rests),
        "reviewed-controls": {"control-selections": [chosen]},
        "observations": [
            *_observations(evidence, "run", evidence.run, finished, part.set.name),
            *_observations(evidence, "document", others_about, finished, part.set.name),
            *(
                one
                for answer in part.answers
                for one in _observations(
                    evidence,
                    control_id(part, answer),
                    answer.statements,
                    finished,
                    part.set.name,
                    state=answer.state,
                )
            ),
            *_rows(evidence, part, finished),
            *_observations(evidence, "joined", evidence.joined, finished, part.set.name),
            *_observations(evidence, "unplayed", evidence.unplayed, finished, part.set.name),
        ],
        **({"findings": findings} if findings else {}),
    }


def _observations(
    evidence: Evidence,
    name: str,
    statements: Iterable[Statement],
    collected: str,
    part: str,
    *,
    state: str = "",
) -> Iterator[dict[str, Any]]:
    """Yield an observation for each statement."""
    of = evidence.source.seed
    for k, one in enumerate(statements):
        about = [_property("about", name), *([_property("state", state)] if state else [])]
        played = any(rest.startswith(PLAYED) for rest in one.rests)
        yield {
            "uuid": uuid_of(of, "observation", part, name, str(k)),
            "title": f"{name}, {k + 1}",
            "description": one.text,
            "props": [*about, *_rests(one.rests)],
            "methods": ["TEST" if played else "EXAMINE"],
            "collected": collected,
        }


def _rows(evidence: Evidence, part: Part, collected: str) -> Iterator[dict[str, Any]]:
    """Yield an observation for each measured row that answers a clause of this document."""
    answering = {row for answer in part.answers for row in answer.rows}
    of = evidence.source.seed
    for row, one in evidence.rows:
        if row["id"] in answering:
            yield {
                "uuid": uuid_of(of, "row", part.set.name, row_id(row)),
                "title": f"Row {row['id']}",
                "description": one.text,
                "props": [_property("about", "row"), *_rests(one.rests)],
                "methods": ["TEST"],
                "collected": collected,
            }


def _finding(evidence: Evidence, part: Part, answer: Answer, broken: Statement) -> dict[str, Any]:
    """Say that rows of a clause are above a limit, or worse than in an earlier run."""
    of = evidence.source.seed
    rows = [rest for rest in broken.rests if rest.startswith("row:")]
    return {
        "uuid": uuid_of(of, "finding", control_id(part, answer), broken.text),
        "title": f"{answer.clause.id}: over",
        "description": broken.text,
        "props": _rests(broken.rests),
        "target": {
            "type": "objective-id",
            "target-id": control_id(part, answer),
            "status": {"state": "not-satisfied", "reason": "fail"},
        },
        "related-observations": [
            {"observation-uuid": uuid_of(of, "row", part.set.name, name)} for name in rows
        ],
    }


def _resources(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """Yield the files of the pack that the results rest on, and the documents."""
    of = evidence.source.seed
    hashes = {"run.json": [{"algorithm": "SHA-256", "value": evidence.source.run_sha256}]}
    types = {
        "run.json": "application/json",
        "journal.jsonl": "application/jsonl",
        "plan.toml": "application/toml",
    }
    for name, media in types.items():
        link: dict[str, Any] = {"href": name, "media-type": media}
        if name in hashes:
            link["hashes"] = hashes[name]
        yield {"uuid": uuid_of(of, name), "title": name, "rlinks": [link]}
    for part in evidence.parts:
        yield {
            "uuid": uuid_of(of, "document", part.set.name),
            "title": f"{part.set.title}, {part.set.edition}",
            "rlinks": [{"href": part.set.source}],
        }

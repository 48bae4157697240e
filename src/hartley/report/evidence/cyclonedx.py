"""A pack as a CycloneDX 1.6 ML-BOM: the model, its measured rows, and claims about clauses.

A clause is a requirement, a sentence about it a claim, and what the sentence rests on its evidence.
No conformance is scored: evidence by attacks is a lower bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hartley.report.evidence.lint import RESTS
from hartley.report.evidence.statements import Evidence, Part, Statement, clause_id, row_id, uuid_of
from hartley.report.findings import class_of
from hartley.report.format_numbers import plain

MODEL = "model"
"""Reference of the model within the document."""
ASSESSOR = "hartley"


def render(evidence: Evidence) -> str:
    """Return a pack as a JSON document."""
    document, of = evidence.source.document, evidence.source.seed
    names = [part.set.name for part in evidence.parts]
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid_of(of, 'bom', *names)}",
        "version": 1,
        "metadata": {
            "timestamp": evidence.source.moments[2],
            "tools": {
                "components": [
                    {"type": "application", "name": "hartley", "version": document["version"]}
                ]
            },
            "component": _model(evidence),
        },
        "definitions": {"standards": [_standard(part) for part in evidence.parts]},
        "declarations": _declarations(evidence),
    }
    return json.dumps(bom, indent=1, ensure_ascii=False) + "\n"


def _rests(statement: Statement) -> list[dict[str, str]]:
    return [{"name": f"hartley:{RESTS}", "value": name} for name in statement.rests]


def _model(evidence: Evidence) -> dict[str, Any]:
    """Return the model with its card: what each row measured, with its interval."""
    document = evidence.source.document
    scene = document["scene"]
    facts = {"scene-digest": scene["digest"], "run": document["id"],
             "run-sha256": evidence.source.run_sha256}  # fmt: skip
    card: dict[str, Any] = {
        "modelParameters": {"task": str(scene["modality"])},
        "properties": [{"name": f"hartley:{k}", "value": str(v)} for k, v in facts.items()],
    }
    metrics = [_metric(row) for row, _ in evidence.rows]
    if metrics:
        card["quantitativeAnalysis"] = {"performanceMetrics": metrics}
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": str(scene["name"]),
        "modelCard": card,
    }


def _metric(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the bits of a row; its slice names the row."""
    value = row["bits"]
    added = row.get("added")
    behind = f" behind {added} ({row.get('knowledge')})" if added else ""
    ends = {
        name: repr(value[key])
        for name, key in (("lowerBound", "low"), ("upperBound", "high"))
        if value.get(key) is not None
    }
    return {
        "type": f"bits per {row.get('unit') or 'use'}, {plain(class_of(row))}, {row['attack']}"
        f"{behind}, {value.get('kind')} at alpha {value.get('alpha')}, n {row.get('n')}",
        "value": repr(value["point"]),
        "slice": row_id(row),
        **({"confidenceInterval": ends} if ends else {}),
    }


def _standard(part: Part) -> dict[str, Any]:
    """Return a document with its clauses, in Hartley's words."""
    return {
        "bom-ref": f"set:{part.set.name}",
        "name": part.set.title,
        "version": part.set.edition,
        "requirements": [
            {
                "bom-ref": clause_id(answer.clause),
                "identifier": answer.clause.id,
                "text": answer.clause.words,
                "properties": [
                    {"name": "hartley:state", "value": answer.state},
                    {"name": f"hartley:{RESTS}", "value": clause_id(answer.clause)},
                ],
            }
            for answer in part.answers
        ],
        "externalReferences": [{"type": "documentation", "url": part.set.source}],
    }


def _declarations(evidence: Evidence) -> dict[str, Any]:
    """Return the claims, with the evidence of each."""
    claims: list[dict[str, Any]] = []
    attestations = []
    rows = (one for _, one in evidence.rows)
    whole = [*evidence.run, *rows, *evidence.joined, *evidence.unplayed]
    claims += [_claim(f"claim:run:{k}", one) for k, one in enumerate(whole)]
    for part in evidence.parts:
        about = [_claim(f"claim:{part.set.name}:{k}", one) for k, one in enumerate(part.statements)]
        claims += about
        mapped = []
        for answer in part.answers:
            ref = clause_id(answer.clause)
            about_clause = [
                _claim(f"claim:{ref}:{k}", one) for k, one in enumerate(answer.statements)
            ]
            claims += about_clause
            mapped.append(
                {"requirement": ref, "claims": [claim["bom-ref"] for claim in about_clause]}
            )
        attestations.append(
            {
                "summary": f"{part.set.title}, {part.set.edition}",
                "assessor": ASSESSOR,
                "map": mapped,
            }
        )
    return {
        "assessors": [
            {"bom-ref": ASSESSOR, "thirdParty": False, "organization": {"name": "Hartley"}}
        ],
        "attestations": attestations,
        "claims": claims,
        "evidence": list(_evidence(evidence)),
    }


def _claim(name: str, one: Statement) -> dict[str, Any]:
    return {
        "bom-ref": name,
        "target": MODEL,
        "predicate": one.text,
        "evidence": [f"evidence:{rest}" for rest in one.rests],
    }


def _evidence(evidence: Evidence) -> Iterator[dict[str, Any]]:
    """Yield everything that a claim rests on: its place in the pack, and bits of rows."""
    rows = {row_id(row): row for row in evidence.source.document["channels"]}
    collected = evidence.source.moments[1]
    files = {
        "verdict": "verdict.json",
        "journal": "journal.jsonl",
        "signature": "signature.json",
    }
    names = dict.fromkeys(rest for one in evidence.all() for rest in one.rests)
    for name in names:
        kind = name.partition(":")[0]
        item: dict[str, Any] = {"bom-ref": f"evidence:{name}", "propertyName": name}
        if name in rows:
            bits = rows[name].get("bits")
            content = {"status": rows[name]["status"], "bits": bits, "n": rows[name].get("n")}
            item["data"] = [
                {
                    "name": str(rows[name]["id"]),
                    "contents": {
                        "attachment": {
                            "contentType": "application/json",
                            "content": json.dumps(content, ensure_ascii=False),
                        }
                    },
                }
            ]
        elif kind not in ("clause", "set"):
            place = files.get(kind, "run.json")
            item["data"] = [{"name": name, "contents": {"url": place}}]
        item["created"] = collected
        yield item

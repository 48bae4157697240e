"""SARIF 2.1.0: rules are attacks, results are what the gate says about each.

A gate fails closed, and so does this: failed and unsettled rows is a warning, not a pass.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hartley.reference.schema import verdict_of
from hartley.report.findings import (
    Behind,
    Finding,
    behind_defenses,
    class_of,
    findings,
    loose_checks,
    unexplained,
)
from hartley.report.format_numbers import judged, meaning, waiver_words
from hartley.report.summary import limited
from hartley.report.unplayed import Unplayed, inapplicable, unplayed

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"

LEVELS = {
    "over": ("fail", "error"),
    "inconclusive": ("fail", "warning"),
    "pass": ("pass", "none"),
}
"""Status → (kind, level); only a result of kind ``fail`` may carry a level."""


def render(document: Mapping[str, Any]) -> str:
    """Return the run as a SARIF log."""
    # A rule and a result for each attack that does not apply would bury the alerts in a list.
    all_findings = [f for f in findings(document) if f.status != "skipped"]
    left_out = unplayed(document["channels"])
    loose = loose_checks(document)
    rules = list({rule["id"]: rule for rule in map(_rule, all_findings)}.values())
    if loose:
        words = {"text": "A limit speaks about something that was not measured."}
        rules.append({"id": "hartley/limit", "name": "limit", "shortDescription": words})
    if left_out:
        words = {"text": "Attacks that fit and were not played, with what they need."}
        rules.append({"id": "hartley/not_played", "name": "not_played", "shortDescription": words})
    behind = behind_defenses(document)
    if behind:
        words = {"text": "What an attack reads behind a defense; limits do not judge it."}
        rules.append({"id": "hartley/defended", "name": "defended", "shortDescription": words})
    verdict = unexplained(document)
    if verdict:
        words = {"text": "The run as a whole settles no limit."}
        rules.append({"id": "hartley/verdict", "name": "verdict", "shortDescription": words})
    index = {rule["id"]: i for i, rule in enumerate(rules)}
    results = [_result(document, f, index) for f in all_findings]
    results += [_unplayed(document, row, index["hartley/not_played"]) for row in left_out]
    results += [_behind(document, row, index["hartley/defended"]) for row in behind]
    results += [_limit(document, c, index["hartley/limit"]) for c in loose]
    if verdict:
        results.append(_whole(document, *verdict, index["hartley/verdict"]))
    crashed = [f for f in all_findings if f.channel["status"] == "failed"]
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Hartley",
                        "version": str(document["version"]),
                        "informationUri": "https://arxiv.org/abs/2603.24857",
                        "rules": rules,
                    }
                },
                "automationDetails": {"id": f"hartley/{document['scene'].get('name')}/"},
                "invocations": [
                    {
                        "executionSuccessful": not crashed,
                        "toolExecutionNotifications": [_crash(f) for f in crashed],
                    }
                ],
                "results": results,
                "properties": {
                    "id": document["id"],
                    "seed": document.get("seed"),
                    "scene": dict(document["scene"]),
                    "verdict": verdict_of(document["verdict"]),
                    "meaning": meaning(document["verdict"]),
                    "limits": limited(document) or None,
                    "judged": judged(document["verdict"]) or None,
                    "notApplicable": inapplicable(document["channels"]),
                    "reasons": list(document["verdict"].get("reasons") or ()),
                    "departures": list(document["verdict"].get("departures") or ()),
                    "waivers": list(document["verdict"].get("waivers") or ()),
                },
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False) + "\n"


def _id(row: Mapping[str, Any]) -> str:
    return f"hartley/{class_of(row) or 'unknown'}/{row['attack']}"


def _rule(finding: Finding) -> dict[str, Any]:
    row = finding.channel
    tags = [f"{t['scheme']}:{t['edition']}:{t['id']}" for t in row.get("tags") or ()]
    name = f"{row['attack']} plays {row.get('game') or 'an unknown game'} ({row.get('axis')})"
    return {
        "id": _id(row),
        "name": str(row["attack"]),
        "shortDescription": {"text": name},
        "defaultConfiguration": {"level": "warning"},
        "properties": {"tags": ["security", *tags], "term": row.get("term")},
    }


def _result(
    document: Mapping[str, Any], finding: Finding, index: Mapping[str, int]
) -> dict[str, Any]:
    row = finding.channel
    bits = row.get("bits") or {}
    leaks = (bits.get("low") or 0.0) > 0
    kind, level = LEVELS.get(
        finding.status, ("fail", "note") if leaks else ("informational", "none")
    )
    waivers = finding.waivers if finding.status == "pass" else ()
    if waivers:
        kind, level = "fail", "note"  # a pass is listed nowhere, and a waived row must be
    return {
        "ruleId": _id(row),
        "ruleIndex": index[_id(row)],
        "kind": kind,
        "level": level,
        "message": {"text": "; ".join(finding.words)},
        "locations": [_place(document, f"{finding.where}.{row['attack']}")],
        "partialFingerprints": {"hartley/v1": f"{document['scene'].get('name')}:{_id(row)}"},
        **({"suppressions": [_suppression(w) for w in waivers]} if waivers else {}),
        "properties": {
            "status": row["status"],
            "bits": dict(bits) or None,
            "assumptions": row.get("assumptions") or [],
            "ceiling": row.get("ceiling"),
            "unit": row.get("unit"),
            "n": row.get("n"),
            "clusters": row.get("clusters"),
            "metrics": row.get("metrics") or {},
            "params": row.get("params") or {},
        },
    }


def _suppression(waiver: Mapping[str, Any]) -> dict[str, Any]:
    """Return a waiver in the words of SARIF: accepted, and why."""
    return {
        "kind": "external",
        "status": "accepted",
        "justification": waiver_words(waiver),
        "properties": dict(waiver),
    }


def _unplayed(document: Mapping[str, Any], row: Unplayed, rule: int) -> dict[str, Any]:
    return {
        "ruleId": "hartley/not_played",
        "ruleIndex": rule,
        "kind": "notApplicable",
        "level": "none",
        "message": {"text": f"{', '.join(row.attacks)} did not run: {row.reason}"},
        "locations": [_place(document, "not_played")],
        "properties": {"attacks": list(row.attacks)},
    }


def _behind(document: Mapping[str, Any], row: Behind, rule: int) -> dict[str, Any]:
    name = f"{row.attack} behind {row.defense}, {row.knowledge} attacker"
    return {
        "ruleId": "hartley/defended",
        "ruleIndex": rule,
        "kind": "notApplicable" if row.bits is None else "informational",
        "level": "none",
        "message": {"text": f"{name}: {row.words}"},
        "locations": [_place(document, f"defenses.{row.defense}.{row.attack}.{row.knowledge}")],
        "partialFingerprints": {"hartley/v1": f"{document['scene'].get('name')}:{name}"},
        "properties": {"bits": None if row.bits is None else dict(row.bits)},
    }


def _limit(document: Mapping[str, Any], check: Mapping[str, Any], rule: int) -> dict[str, Any]:
    kind, level = LEVELS.get(str(check["status"]), LEVELS["inconclusive"])
    return {
        "ruleId": "hartley/limit",
        "ruleIndex": rule,
        "kind": kind,
        "level": level,
        "message": {"text": str(check["reason"])},
        "locations": [_place(document, f"limits.{check.get('limit')}")],
        "properties": {"limit": check.get("limit"), "at": check.get("at")},
    }


def _whole(document: Mapping[str, Any], status: str, words: str, rule: int) -> dict[str, Any]:
    kind, level = LEVELS.get(status, LEVELS["inconclusive"])
    return {
        "ruleId": "hartley/verdict",
        "ruleIndex": rule,
        "kind": kind,
        "level": level,
        "message": {"text": words},
        "locations": [_place(document, "verdict")],
    }


def _place(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    full = f"{document['scene'].get('name')}.{name}"
    return {
        "physicalLocation": {"artifactLocation": {"uri": "run.json"}},
        "logicalLocations": [{"fullyQualifiedName": full, "kind": "module"}],
    }


def _crash(finding: Finding) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": f"{finding.channel['attack']}: {finding.channel.get('reason')}"},
        "associatedRule": {"id": _id(finding.channel)},
    }

"""JUnit XML: a test case for each row that was played, each row behind a defense, each limit alone.

What was left out is one skipped case for each reason that has a cure; attacks that do not apply to
what was attacked are counted in a property, so that they do not bury what was played.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

from hartley.engine.result.gate import look_in_words
from hartley.reference.schema import verdict_of
from hartley.report.findings import Finding, behind_defenses, findings, loose_checks, unexplained
from hartley.report.format_numbers import count, judged, level, meaning, waiver_words
from hartley.report.summary import limited
from hartley.report.unplayed import inapplicable, unplayed

FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot carry, not even escaped."""


def render(document: Mapping[str, Any]) -> str:
    """Return the run as JUnit XML: failure over a limit, error for failed and unsettled rows."""
    suite = ET.Element("testsuite", name=_clean(f"hartley {document['scene'].get('name', '')}"))
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    seconds = 0.0
    for finding in findings(document):
        if finding.status == "skipped":
            continue
        counts["tests"] += 1
        spent = float(finding.channel.get("seconds") or 0.0)
        seconds += spent
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_clean(f"hartley.{finding.where}"),
            name=_clean(str(finding.channel["attack"])),
            time=f"{spent:.3f}",
        )
        _outcome(case, finding, counts)
    for left_out in unplayed(document["channels"]):
        counts["tests"] += 1
        case = ET.SubElement(
            suite,
            "testcase",
            classname="hartley.not_played",
            name=_clean(left_out.title),
            time="0.000",
        )
        _say(case, "skipped", (f"{', '.join(left_out.attacks)}: {left_out.reason}",), counts)
    for row in behind_defenses(document):
        counts["tests"] += 1
        case = ET.SubElement(
            suite,
            "testcase",
            classname=_clean(f"hartley.behind.{row.defense}"),
            name=_clean(f"{row.attack} ({row.knowledge} attacker)"),
            time="0.000",
        )
        if row.bits is None:
            _say(case, "skipped", (row.words,), counts)
        else:
            ET.SubElement(case, "system-out").text = _clean(f"{row.words}\nnot judged by limits")
    for check in loose_checks(document):
        counts["tests"] += 1
        name = _clean(f"limit {check.get('limit', '')}")
        case = ET.SubElement(suite, "testcase", classname="hartley.limits", name=name, time="0.000")
        _say(case, str(check["status"]), (str(check["reason"]),), counts)
    if verdict := unexplained(document):
        counts["tests"] += 1
        case = ET.SubElement(suite, "testcase", classname="hartley", name="verdict", time="0.000")
        _say(case, verdict[0], (verdict[1],), counts)
    _properties(suite, document)
    for key, cases in counts.items():
        suite.set(key, str(cases))
    suite.set("time", f"{seconds:.3f}")
    if document.get("created"):
        suite.set("timestamp", _clean(str(document["created"])))
    # Jenkins' schema knows no ``skipped`` on the root.
    totals = {k: str(v) for k, v in counts.items() if k != "skipped"}
    root = ET.Element("testsuites", totals, name="hartley", time=f"{seconds:.3f}")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _properties(suite: ET.Element, document: Mapping[str, Any]) -> None:
    """Put the verdict and what it means before the test cases, as the schema has it."""
    verdict = document["verdict"]
    properties = ET.Element("properties")
    pairs = [("verdict", verdict_of(verdict)), ("meaning", meaning(verdict))]
    if words := limited(document):
        pairs.append(("limits", words))
    if words := judged(verdict):
        pairs.append(("judged", words))
    if looks := document.get("looks"):
        pairs.append(("looks", look_in_words(looks)))
    if unfit := inapplicable(document["channels"]):
        pairs.append(("not applicable", f"{count(len(unfit), 'attack')}: {', '.join(unfit)}"))
    pairs += [("waiver", waiver_words(waiver)) for waiver in verdict.get("waivers") or ()]
    pairs += [("departure", str(departure)) for departure in verdict.get("departures") or ()]
    for name, value in pairs:
        ET.SubElement(properties, "property", name=name, value=_clean(value))
    suite.insert(0, properties)


def _outcome(case: ET.Element, finding: Finding, counts: dict[str, int]) -> None:
    _say(case, finding.status, finding.words, counts)
    bits = finding.channel.get("bits") or {}
    if bits:
        out = ET.SubElement(case, "system-out")
        # Lower bounds at every level are for the gate, not for a person.
        ends = {k: v for k, v in bits.items() if not isinstance(v, (list, Mapping))}
        ends |= {f"share.{k}": v for k, v in (bits.get("share") or {}).items()}
        lines = [*finding.words, *(f"bits.{k} = {v}" for k, v in ends.items())]
        lines.append(f"bits.level = each end at {level(bits.get('alpha'))}")
        if assumptions := finding.channel.get("assumptions"):
            lines.append(f"assumptions = {'; '.join(map(str, assumptions))}")
        out.text = _clean("\n".join(lines))


def _say(case: ET.Element, status: str, words: tuple[str, ...], counts: dict[str, int]) -> None:
    tag, kind = {
        "over": ("failure", "over"),
        "inconclusive": ("error", "inconclusive"),
        "skipped": ("skipped", ""),
    }.get(status, ("", ""))
    if not tag:
        return
    counts[{"failure": "failures", "error": "errors"}.get(tag, tag)] += 1
    element = ET.SubElement(case, tag, message=_clean("; ".join(words)))
    if kind:
        element.set("type", kind)
        element.text = _clean("\n".join(words))


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\ufffd", text)

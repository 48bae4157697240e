"""JUnit and SARIF hold to their schemas, Markdown tables stay tables, and all fail closed."""

import json
import re
from xml.etree import ElementTree as ET

import jsonschema
import pytest

from hartley.report import render
from hartley.report.findings import findings

CASE = {"classname", "name", "time"}


def _junit(document):
    """Read JUnit XML and hold it to the common schema: elements, attributes, order, counts."""
    root = ET.fromstring(render(document, "junit").encode())
    assert root.tag == "testsuites"
    (suite,) = root
    assert suite.tag == "testsuite"
    assert set(suite.attrib) - {"timestamp"} == {
        *("name", "tests", "failures", "errors", "skipped", "time"),
    }
    seen = dict.fromkeys(("failure", "error", "skipped"), 0)
    for case in suite:
        assert case.tag == "testcase" and set(case.attrib) == CASE
        assert float(case.get("time")) >= 0
        tags = [child.tag for child in case]
        assert tags in ([], ["system-out"]) or (
            tags[0] in seen and tags[1:] in ([], ["system-out"])
        )
        for child in case:
            if child.tag in seen:
                seen[child.tag] += 1
                assert child.get("message")
                assert (child.tag == "skipped") or child.get("type")
    for holder in (root, suite):
        assert int(holder.get("tests")) == len(suite)
        assert int(holder.get("failures")) == seen["failure"]
        assert int(holder.get("errors")) == seen["error"]
        assert int(holder.get("skipped")) == seen["skipped"]
    return {case.get("name"): case for case in suite}


def test_junit_says_over_unsettled_and_skipped(document):
    cases = _junit(document)
    assert len(cases) == 12
    assert "over the limit 0.1" in cases["lira_online"].find("failure").get("message")
    assert "flagged" in cases["rmia"].find("error").get("message")
    assert "NaN <b>twice</b>" in cases["last_layer"].find("error").get("message")
    assert cases["canary_exposure"].find("skipped").get("message") == "the scene has no corpus"
    for name in ("loss_threshold", "knockoff", "jpeg"):
        assert [child.tag for child in cases[name]] == ["system-out"]
    assert cases["jpeg"].get("classname") == "hartley.data_to_data.watermark"
    assert "bits.low = 0.842" in cases["jpeg"].find("system-out").text


def test_a_limit_that_met_no_row_is_an_error_of_its_own(document):
    reason = "finetuning: nothing was measured"
    document["verdict"]["checks"].append(
        {"limit": "finetuning", "at": 0.1, "status": "inconclusive", "reason": reason}
    )
    cases = _junit(document)
    assert cases["limit finetuning"].find("error").get("message") == reason
    results = json.loads(render(document, "sarif"))["runs"][0]["results"]
    assert (results[-1]["kind"], results[-1]["level"]) == ("fail", "warning")


def test_a_flag_without_any_limit_still_does_not_pass(document):
    document["verdict"]["checks"] = []
    assert _junit(document)["rmia"].find("error") is not None


def test_junit_survives_what_xml_cannot_carry(document):
    document["channels"][-1]["reason"] = "bad \x00\x0b\ud800 bytes ]]> & <x>"
    document["verdict"]["checks"] = []
    message = _junit(document)["last_layer"].find("error").get("message")
    assert message == "failed: bad \ufffd\ufffd\ufffd bytes ]]> & <x>"


TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": {"$ref": "#/definitions/run"}},
    },
    "definitions": {
        "run": {
            "type": "object",
            "required": ["tool"],
            "additionalProperties": False,
            "properties": {
                "tool": {
                    "type": "object",
                    "required": ["driver"],
                    "additionalProperties": False,
                    "properties": {
                        "driver": {
                            "type": "object",
                            "required": ["name"],
                            "properties": {
                                "rules": {
                                    "type": "array",
                                    "uniqueItems": True,
                                    "items": {"$ref": "#/definitions/rule"},
                                }
                            },
                        }
                    },
                },
                "automationDetails": {"type": "object"},
                "invocations": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["executionSuccessful"],
                        "properties": {"executionSuccessful": {"type": "boolean"}},
                    },
                },
                "results": {"type": "array", "items": {"$ref": "#/definitions/result"}},
                "properties": {"type": "object"},
            },
        },
        "rule": {
            "type": "object",
            "required": ["id"],
            "additionalProperties": False,
            "properties": {
                "id": {"type": "string"},
                "name": {"type": "string"},
                "shortDescription": TEXT,
                "defaultConfiguration": {"type": "object"},
                "properties": {
                    "type": "object",
                    "properties": {
                        "tags": {
                            "type": "array",
                            "uniqueItems": True,
                            "items": {"type": "string"},
                        }
                    },
                },
            },
        },
        "result": {
            "type": "object",
            "required": ["message"],
            "additionalProperties": False,
            "properties": {
                "ruleId": {"type": "string"},
                "ruleIndex": {"type": "integer", "minimum": -1},
                "kind": {
                    "enum": ["notApplicable", "pass", "fail", "review", "open", "informational"]
                },
                "level": {"enum": ["none", "note", "warning", "error"]},
                "message": TEXT,
                "locations": {"type": "array", "items": {"type": "object"}},
                "partialFingerprints": {
                    "type": "object",
                    "additionalProperties": {"type": "string"},
                },
                "properties": {"type": "object"},
            },
        },
    },
}
"""What of the SARIF 2.1.0 schema this log touches."""


def _sarif(document):
    log = json.loads(render(document, "sarif"))
    jsonschema.validate(log, SARIF)
    (run,) = log["runs"]
    rules = run["tool"]["driver"]["rules"]
    for result in run["results"]:
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["kind"] == "fail" or result["level"] == "none"
    return run, {r["ruleId"].rsplit("/", 1)[1]: r for r in run["results"]}


def test_sarif_levels_follow_the_verdict(document):
    run, found = _sarif(document)
    got = {name: (r["kind"], r["level"]) for name, r in found.items()}
    assert got["lira_online"] == ("fail", "error")
    assert got["rmia"] == got["last_layer"] == ("fail", "warning")
    assert got["loss_threshold"] == got["knockoff"] == ("pass", "none")
    assert got["canary_exposure"] == ("notApplicable", "none")
    assert got["jpeg"] == ("fail", "note")  # it leaks, and no limit speaks about it
    assert got["aes_gcm_control"] == ("informational", "none")
    assert found["lira_online"]["properties"]["bits"]["low"] == 0.214
    assert run["invocations"][0]["executionSuccessful"] is False
    rule = run["tool"]["driver"]["rules"][found["lira_online"]["ruleIndex"]]
    assert "atlas:5.6.0:AML.T0024.000" in rule["properties"]["tags"]


def test_sarif_rules_are_unique_when_an_attack_has_several_rows(document):
    document["channels"].append(dict(document["channels"][7], knows="static"))
    run, _ = _sarif(document)
    assert len(run["tool"]["driver"]["rules"]) == 12
    assert len(run["results"]) == 13


@pytest.mark.parametrize("status", ["failed", "skipped", "measured"])
def test_no_row_is_lost_whatever_its_state(document, status):
    expected = [c["attack"] for c in document["channels"] if c["status"] == status]
    found = [f.channel["attack"] for f in findings(document) if f.channel["status"] == status]
    assert found == expected and expected


def _cells(line):
    return re.split(r"(?<!\\)\|", line)[1:-1]


def test_markdown_tables_stay_tables(document):
    document["channels"][0]["params"] = {"a|b": "c\nd|`e`<script>"}
    document["channels"][-1]["reason"] = "x | y\n# heading <img src=x> [link](http://e)"
    text = render(document, "md")
    widths = []
    for block in text.split("\n\n"):
        if block.startswith("|"):
            rows = [_cells(line) for line in block.splitlines()]
            assert len({len(row) for row in rows}) == 1
            widths.append((len(rows) - 2, len(rows[0])))
    assert widths == [(10, 8), (3, 7), (2, 4)]
    assert "<script>" not in text and "<img" not in text and not re.search(r"(?<!\\)\]\(", text)
    assert sum(line.startswith("# ") for line in text.splitlines()) == 1


def test_markdown_begins_with_the_verdict(document):
    lines = render(document, "md").splitlines()
    assert lines[0] == "# Hartley: digits"
    assert lines[2] == "**Over the limit**"
    assert "0.262 \\[0.214, 0.301\\] per record" in render(document, "md")

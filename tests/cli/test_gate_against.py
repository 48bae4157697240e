"""``hartley gate --against``: a run that leaks more than the last release does not pass."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse
from hartley.engine.result.compare_runs import Side
from hartley.engine.result.judge_against import judge_against
from hartley.report.compared import of_verdict

PLAN = """scene = "live:membership"
only = ["loss_threshold", "entropy_metrics"]
deployed = [{}]
[executor]
workers = 0
"""
LIMITS = "[limits]\nmembership = 1\n[limits.least]\nattacks = ['entropy_metrics']\n"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A run with rounded answers, then one without, then the first once more with other coins."""
    store = tmp_path_factory.mktemp("store") / "runs"
    rounded, plain = (parse(PLAN.format(d), source="plan.toml") for d in ('"rounding"', ""))
    runs = {"first": rounded, "plain": plain, "again": replace(rounded, seed=1)}
    documents = {name: assess(p, store=store, run=name) for name, p in runs.items()}
    for i, name in enumerate(runs):  # they were made within one second
        documents[name]["created"] = f"2026-12-0{i + 1}T00:00:00+00:00"
    return store, documents


@pytest.fixture
def stored(played, tmp_path):
    shutil.copytree(played[0], tmp_path / "runs")
    return tmp_path / "runs"


def _judged(documents, first, second, **options):
    sides = [Side(documents[name], lambda row: None) for name in (first, second)]
    return judge_against(*sides, **options)


def test_what_leaks_more_is_over_and_what_does_not_passes(call, stored):
    done = call("gate", "plain", "--against", "first")
    assert done.returncode == 1
    assert "entropy_metrics: worse: at least" in done.stdout
    assert "bit more at the level of all 2 rows" in done.stdout
    assert call("gate", "plain", "--against", "first", "--margin", "1").returncode == 1


def test_the_worse_of_two_verdicts_counts(call, stored, tmp_path):
    limits = tmp_path / "limits.toml"
    limits.write_text(LIMITS)
    words = ("gate", "plain", "--limits", str(limits), "--against", "first", "--json")
    verdict = json.loads(call(*words).stdout)
    assert verdict["status"] == "over"
    of_limits = [c["status"] for c in verdict["checks"] if c["limit"] != "against"]
    assert of_limits and "over" not in of_limits
    assert {c["limit"] for c in verdict["checks"]} == {"membership", "against"}
    assert verdict["against"]["first"]["id"] == "first"


def test_reports_show_the_comparison_that_was_saved(call, stored):
    assert call("gate", "plain", "--against", "first", "--save").returncode == 1
    for form in ("md", "junit", "sarif"):
        page = call("report", "plain", "--format", form).stdout
        assert "against first: entropy" in page.replace("\\", "")
    page = call("report", "plain", "--format", "md").stdout
    assert "against first at" in page
    _, _, table = page.partition("## Compared with first")
    row = next(line for line in table.splitlines() if line.startswith("| entropy"))
    assert "| worse | at least " in row
    call("report", "plain", "--out", "plain.html")
    html = Path("plain.html").read_text()
    assert '<h2 id="compared">Compared with first</h2>' in html
    assert "**Worse or over the limit.** A row leaks more than in the earlier run" in page


def test_a_run_that_is_no_worse_passes(played):
    _, documents = played
    verdict = _judged({**documents, "same": documents["first"]}, "first", "same")
    assert (verdict.status, verdict.reasons) == ("pass", ())
    assert [check["status"] for check in verdict.checks] == ["pass", "pass"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda d: {**d, "channels": d["channels"][1:]}, "only in the first run"),
        (lambda d: {**d, "scene": {**d["scene"], "name": "other"}}, "must be of one scene"),
        (
            lambda d: {**d, "plan": {"scene": "digits", "scenes": {"digits": {"epochs": 0}}}},
            "built with epochs = 0, not ",
        ),
        (lambda d: {**d, "created": "2026-11-01T00:00:00+00:00"}, "must be the earlier run"),
        (
            lambda d: {**d, "channels": [{**r, "status": "failed", "reason": "it stopped"}
                                         for r in d["channels"]]},
            "failed in",
        ),
        (lambda d: {**d, "channels": [{**r, "flags": ["null arm"]} for r in d["channels"]]},
         "flagged in"),
        (lambda d: {**d, "channels": []}, "no row is in both runs"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_no_pass(played, change, reason):
    _, documents = played
    rows = [r for r in documents["first"]["channels"] if r["status"] == "measured"]
    first = {**documents["first"], "channels": rows}
    verdict = _judged({"first": first, "changed": change(first)}, "first", "changed")
    assert verdict.status == "inconclusive"
    assert any(reason in words for words in verdict.reasons)


def test_a_page_names_what_is_gone_and_what_is_new(played):
    _, documents = played
    one, other = (
        {**documents["first"], "channels": [r]}
        for r in [r for r in documents["first"]["channels"] if r["status"] == "measured"]
    )
    page = of_verdict(_judged({"one": one, "other": other}, "one", "other").dump())
    names = [document["channels"][0]["attack"] for document in (one, other)]
    assert page["rows"] == []
    assert page["notes"] == [
        f"1 row of one run alone, gone: {names[0]}.",
        f"1 row of one run alone, new, with nothing to compare it with: {names[1]}.",
    ]


def test_a_doubtful_side_is_no_pass_and_still_over(played):
    _, documents = played
    doubts = ["unverified: a copy"]
    same = _judged({**documents, "same": documents["first"]}, "first", "same", doubts=doubts)
    assert same.status == "inconclusive"
    assert "unverified: a copy" in same.reasons[0]


def test_an_edited_baseline_is_refused(call, stored):
    path = stored / "first" / "run.json"
    path.write_text(path.read_text().replace('"point": 0', '"point": 1', 1))
    done = call("gate", "plain", "--against", "first")
    assert done.returncode == 2
    assert "must be intact" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--limits FILE, --against RUN, or both"),
        (("--margin", "0.1"), "--margin must have --against RUN"),
        (("--against", "plain"), "must name another run, got plain itself"),
        (("--against", "frist"), "did you mean first?"),
        (("--against", "first", "--margin", "2"), "a share in 0..1, got 2"),
    ],
)
def test_a_mistake_is_one_line(call, stored, words, message):
    done = call("gate", "plain", *words)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_copy_under_another_name_is_not_a_baseline(call, stored):
    shutil.copytree(stored / "plain", stored / "copy")
    assert call("gate", "plain", "--against", "copy").returncode in (2, 3)

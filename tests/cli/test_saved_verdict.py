"""The verdict of ``hartley gate --save`` is kept in the run, and every format shows it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse
from hartley.store import read_verified

ROOT = Path(__file__).parents[2]
PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])
PLAN = 'scene = "live:membership"\nonly = ["loss_threshold"]\n[executor]\nworkers = 0\n'
OVER = "[limits]\nmembership = 0.01\n"
WITHIN = '[limits]\n"attack:loss_threshold" = 1.0\n'


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A run of one attack without limits."""
    store = tmp_path_factory.mktemp("store") / "runs"
    assess(parse(PLAN, source="plan.toml"), store=store, run="loud")
    return store


@pytest.fixture
def folder(call, played, tmp_path):
    """A copy of that run, in the current directory, with two files of limits beside it."""
    shutil.copytree(played, tmp_path / "runs")
    (tmp_path / "over.toml").write_text(OVER)
    (tmp_path / "within.toml").write_text(WITHIN)
    return tmp_path / "runs/loud"


def _counts(text: str) -> dict[str, int]:
    root = ET.fromstring(text)
    return {name: int(root.get(name)) for name in ("failures", "errors")}


def test_formats_show_the_verdict_that_was_saved(call, folder):
    before = (folder / "run.json").read_bytes()
    assert _counts(call("report", "loud", "--format", "junit").stdout)["failures"] == 0
    assert call("gate", "loud", "--limits", "over.toml", "--save").returncode == 1
    junit = call("report", "loud", "--format", "junit").stdout
    assert _counts(junit)["failures"] == 1
    assert "judged with over.toml" in junit
    sarif = json.loads(call("report", "loud", "--format", "sarif").stdout)["runs"][0]
    assert [r["level"] for r in sarif["results"] if r["kind"] == "fail"].count("error") == 1
    assert "Over the limit" in call("report", "loud", "--format", "md").stdout
    assert call("report", "loud").returncode == 0
    assert "Over the limit" in (folder / "report.html").read_text()
    assert re.search(r"^loud .* over$", call("list", "runs").stdout, re.M)
    assert (folder / "run.json").read_bytes() == before
    assert not read_verified(folder).doubt


def test_the_last_verdict_counts_and_a_page_has_its_own(call, folder):
    call("gate", "loud", "--limits", "over.toml", "--save")
    assert call("gate", "loud", "--limits", "within.toml", "--save").returncode == 0
    assert _counts(call("report", "loud", "--format", "junit").stdout) == {
        "failures": 0,
        "errors": 0,
    }
    once = call("report", "loud", "--format", "junit", "--limits", "over.toml").stdout
    assert _counts(once)["failures"] == 1
    assert "Pass" in call("report", "loud", "--format", "md").stdout


def test_a_verdict_that_was_edited_or_removed_is_no_pass(call, folder):
    call("gate", "loud", "--limits", "over.toml", "--save")
    saved = folder / "verdict.json"
    saved.write_text(saved.read_text().replace('"over"', '"pass"'))
    for _ in ("edited", "removed"):
        assert _counts(call("report", "loud", "--format", "junit").stdout)["errors"] == 1
        assert "missing or damaged" in call("report", "loud", "--format", "sarif").stdout
        assert "inconclusive" in call("list", "runs").stdout
        saved.unlink(missing_ok=True)
    assert call("gate", "loud", "--limits", "over.toml").returncode == 1  # the run itself is sound


def test_a_run_that_was_measured_anew_has_no_saved_verdict(call, folder, monkeypatch):
    call("gate", "loud", "--limits", "over.toml", "--save")
    monkeypatch.setattr("hartley.engine.result.document.now", lambda: "2030-01-01T00:00:00+00:00")
    assert call("assess", "--remeasure", "loud").returncode == 0
    assert "No limits were set" in call("report", "loud", "--format", "md").stdout


def test_a_run_that_goes_on_after_a_verdict_is_complete(call, folder):
    (folder.parents[1] / "plan.toml").write_text(PLAN)
    again = ("assess", "plan.toml", "--run", "quiet")
    call(*again)
    call("gate", "quiet", "--limits", "over.toml", "--save")
    assert "is complete" in call(*again).stderr
    assert "Over the limit" in call("report", "quiet", "--format", "md").stdout


def test_nothing_is_saved_for_what_nothing_vouches_for(call, folder, tmp_path):
    shutil.copy(folder / "run.json", tmp_path / "copy.json")
    refused = call("gate", "copy.json", "--limits", "over.toml", "--save")
    assert refused.returncode == 2
    assert "--save" in refused.stderr
    unverified = call("report", "copy.json", "--limits", "within.toml", "--format", "junit")
    assert _counts(unverified.stdout)["errors"] == 1
    shown = ("report", "copy.json", "--limits", "within.toml", "--accept-unverified")
    assert _counts(call(*shown, "--format", "junit").stdout)["errors"] == 0
    (folder / "trials" / next((folder / "trials").iterdir()).name).write_bytes(b"")
    assert call("gate", "loud", "--limits", "over.toml", "--save").returncode == 3
    assert not (folder / "verdict.json").exists()
    damaged = call("report", "loud", "--limits", "within.toml", "--format", "junit")
    assert _counts(damaged.stdout)["errors"] == 1


@pytest.mark.parametrize(
    "page", sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"]), ids=str
)
def test_docs_do_not_skip_a_page_of_a_run_that_is_over(page):
    """``assess`` and ``gate`` exit with 1 or 3 exactly when the next step is wanted."""
    assert not re.findall(r"hartley (?:assess|gate|measure)[^\n]*&&", page.read_text())


@pytest.mark.parametrize("place", ["trials", "rows", "run.json", "plan.toml"])
def test_no_format_shows_the_pass_of_a_damaged_run(call, folder, place):
    assert call("gate", "loud", "--limits", "within.toml", "--save").returncode == 0
    assert _counts(call("report", "loud", "--format", "junit").stdout)["errors"] == 0
    path = folder / place
    if path.is_dir():
        (path,) = path.iterdir()
    path.write_bytes(path.read_bytes() + b" ")
    junit = call("report", "loud", "--format", "junit")
    assert _counts(junit.stdout)["errors"] == 1 and "not verified" in junit.stderr
    sarif = json.loads(call("report", "loud", "--format", "sarif").stdout)["runs"][0]
    assert "warning" in [result["level"] for result in sarif["results"]]
    page = call("report", "loud", "--format", "md").stdout
    assert "**Inconclusive" in page and "**Pass" not in page
    again = call("gate", "loud", "--limits", "within.toml", "--save")
    assert again.returncode == 3 and "nothing was saved" in again.stderr
    if place == "run.json":
        assert re.search(r"^loud .*damaged", call("list", "runs").stdout, re.M)


def test_a_strict_pass_says_which_number_it_judged(call, folder):
    Path("strict.toml").write_text("[limits]\nstrict = true\n" + WITHIN.partition("]\n")[2])
    done = call("gate", "loud", "--limits", "strict.toml")
    document = read_verified(folder).document
    high = next(row["bits"]["high"] for row in document["channels"] if row["status"] == "measured")
    assert done.returncode == 0, done.stdout
    line = next(line for line in done.stdout.splitlines() if "within the limit" in line)
    most = float(re.findall(r"at most ([\d.]+)", line)[0])
    assert (most > high + 1e-3) == ("(strict: 16 clusters that showed nothing" in line)


MISTAKES = {
    "membership = 0.3\n[limits]\nmembership = 1\n": "a limit is a line of the table [limits]",
    "[limits]\nloss_threshold = 0.3\n": 'write its limit as "attack:loss_threshold"',
    "[limits]\nmembership = 1\n[limits.least]\nattacks = []\n": "must be a list of names",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_limits_names_the_line_to_write(call, folder, text):
    Path("wrong.toml").write_text(text)
    done = call("gate", "loud", "--limits", "wrong.toml")
    assert done.returncode == 2 and MISTAKES[text] in done.stderr
    assert done.stderr.count("\n") == 1


def test_files_and_folders_that_are_no_runs_are_named_as_such(call, folder):
    Path("t.csv").write_text("truth,score\n0,1\n")
    for words, message in (
        (["gate", "./t.csv", "--limits", "within.toml"], "a table is measured first"),
        (["gate", "./", "--limits", "within.toml"], "holds no run"),
        (["report", "loud", "--out", "runs"], "--out must be a file, got the folder runs"),
    ):
        done = call(*words)
        assert done.returncode == 2 and message in done.stderr, done.stderr

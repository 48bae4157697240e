"""``hartley defend``: the choice of a stored run, in words and as JSON, with its exit codes."""

import json
import shutil

import pytest

from hartley.engine.assess import assess
from hartley.engine.plan.plan import parse

PLAN = """scene = "live:membership"
only = ["loss_threshold", "rmia"]
[attacks.rmia]
references = 2
[games.membership]
rounds = 8
[defenses]
use = ["rounding", "score_noise"]
pairs = true
[defenses.rounding]
digits = 0
[executor]
workers = 0
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    store = tmp_path_factory.mktemp("store") / "runs"
    assess(parse(PLAN, source="plan.toml"), store=store, run="defended")
    bare = 'scene = "live:membership"\nonly = ["loss_threshold"]\n[executor]\nworkers = 0\n'
    assess(parse(bare, source="plan.toml"), store=store, run="bare")
    return store


@pytest.fixture
def stored(call, played, tmp_path):
    shutil.copytree(played, tmp_path / "runs")
    return tmp_path / "runs"


def test_the_choice_is_printed_with_why(call, stored):
    done = call("defend", "defended")
    assert done.returncode == 0, done.stderr
    assert "choice: rounding" in done.stdout
    assert "victims resampled in all" in done.stdout
    assert "rounding+score_noise" in done.stdout and "dci_hartley" in done.stdout
    assert "does bandwidth beat noise and signal under adaptation?" in done.stdout
    assert "it neither reads the defenses nor trains reference models" in done.stdout
    whole = call("defend", "defended", "--json")
    document = json.loads(whole.stdout)
    assert document["schema"] == "hartley.choice/1"
    assert document["choice"]["defense"] in {"rounding", "rounding+score_noise"}
    assert document["choice"]["worst"]["value"] < document["choice"]["undefended"]
    again = call("defend", "defended", "--json")
    assert again.stdout == whole.stdout


def test_a_copy_without_its_trials_is_read_by_its_intervals(call, stored):
    copy = stored.parent / "copy.json"
    copy.write_text((stored / "defended" / "run.json").read_text())
    done = call("defend", str(copy))
    assert done.returncode == 0 and "from the intervals of the rows alone" in done.stdout
    assert "a copy without the journal" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bare"], "must be given a run with defenses, got bare without one"),
        (["defended", "--floor", "accuracy"], "--floor must be METRIC=VALUE or a number"),
        (["defended", "--floor", "0.9"], "must name its metric"),
        (["defended", "--attacks", "loss_treshold"], "did you mean loss_threshold"),
        (["nowhere"], "no run named 'nowhere'"),
    ],
)
def test_mistakes_are_one_line(call, stored, arguments, words):
    done = call("defend", *arguments)
    assert (
        done.returncode == 2 and words in done.stderr and len(done.stderr.strip().splitlines()) == 1
    )


def test_a_damaged_run_is_not_read(call, stored):
    trials = next((stored / "defended" / "trials").iterdir())
    trials.write_bytes(trials.read_bytes()[:-1] + b"x")
    done = call("defend", "defended")
    assert done.returncode == 2 and "must be intact" in done.stderr

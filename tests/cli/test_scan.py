"""``hartley assess --records``: a data set is scanned before training, without a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hartley.cli.assess import of_shipped, plans
from hartley.engine.plan.plan import parse

PLAN = """
only = ["badnets"]
[attacks.badnets]
count = [2, 12]
[games.poisoning]
rounds = 2
slots = 1
poisons = 12
[defenses]
use = ["record_scan"]
adaptive = false
[defenses.record_scan]
false_alarms = 0.05
"""
RATE = ("--false-alarms", "0.05", "--workers", "0", "--store", "s")


@pytest.fixture
def tables(call):
    """Records of which five are flipped, and trusted ones, in the current folder."""
    rng = np.random.default_rng(0)

    def table(n):
        x = rng.normal(size=(n, 4))
        label = np.where(x[:, 0] + x[:, 1] > 0, "yes", "no")
        return pd.DataFrame(x, columns=list("abcd")).assign(label=label)

    mine = table(160)
    far = (mine.a + mine.b).abs().nlargest(5).index
    mine.loc[far, "label"] = np.where(mine.label[far] == "yes", "no", "yes")
    mine.to_csv("mine.csv", index=False)
    table(240).to_csv("trusted.csv", index=False)
    Path("plan.toml").write_text(PLAN)
    return set(map(int, far))


def test_a_scan_is_a_run_whose_first_screen_says_what_looks_poisoned(call, tables):
    flags = ["--records", "mine.csv", "--target", "label", "--clean", "trusted.csv", *RATE]
    done = call("assess", "plan.toml", *flags)
    assert done.returncode == 0, done.stderr
    # Six lines of words: records beside chance, then what would hide.
    assert "Of 160 records, " in done.stdout and "are expected by chance" in done.stdout
    assert "poison that Hartley planted into copies" in done.stdout
    assert "Rows are counted from 0, a header aside" in done.stdout
    assert "attacks that are not part of a scan (-v names them)" in done.stdout
    assert "needs gradients" not in done.stdout and "count = 2 and 12" in done.stdout
    (run,) = [path for path in Path("s").iterdir() if path.is_dir() and path.name[0] != "."]
    document = json.loads((run / "run.json").read_text())
    scan = document["suspects"]
    assert {record["row"] for record in scan["records"]} >= tables
    assert scan["records"][0]["source"] == "mine.csv" and scan["trusted"] == 240
    behind = [row for row in document["channels"] if not row["baseline"]]
    counts = {row["params"]["count"]: row["metrics"] for row in behind}
    assert set(counts) == {2, 12} and all("dropped_poison" in m for m in counts.values())
    for form in ("html", "md"):
        page = call("report", run.name, "--store", "s", "--format", form, "--out", f"p.{form}")
        assert page.returncode == 0, page.stderr
        text = Path(f"p.{form}").read_text()
        assert "Suspect records" in text and "mine.csv" in text and "Of 160 records" in text
    # The content of a record is nowhere.
    values = pd.read_csv("mine.csv").a.astype(str)
    everything = (run / "run.json").read_text() + Path("p.html").read_text()
    assert not any(value in everything for value in values)
    assert call("gate", run.name, "--store", "s", "--limits", "none.toml").returncode == 2
    Path("limits.toml").write_text("[limits]\npoisoning = 0.5\n")
    assert call("gate", run.name, "--store", "s", "--limits", "limits.toml").returncode in (1, 3)
    again = call("assess", "plan.toml", *flags)
    assert again.returncode == 0 and "Of 160 records, " in again.stdout
    assert len([p for p in Path("s").iterdir() if p.is_dir() and p.name[0] != "."]) == 1


def test_without_trusted_records_it_says_what_cannot_be_known(call, tables):
    done = call("assess", "plan.toml", "--records", "mine.csv", "--target", "label", *RATE)
    assert done.returncode == 0, done.stderr
    assert "Without trusted records the 160 records calibrate themselves" in done.stdout
    assert "nothing says that one of them is poisoned" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--model", "net.py:Net"], "--records scans a data set before training, without a model"),
        (["--train", "a.csv"], "does not go with --train; to assess a model"),
        (["--scene", "digits"], "the scene must be given once"),
        (["poison"], "the plan poison must go with --model"),
        (["--clean", "nowhere.csv"], "nowhere.csv"),
        (["--false-alarms", "0.9"], "hartley: --false-alarms must be above 0 and at most 0.5"),
    ],
)
def test_what_does_not_go_together_is_one_line(call, tables, words, message):
    done = call("assess", "--records", "mine.csv", "--target", "label", *words, "--store", "s")
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2


def test_trusted_records_alone_are_nothing_to_scan(call, tables):
    done = call("assess", "--clean", "trusted.csv", "--store", "s")
    assert done.returncode == 2 and "give --records as well" in done.stderr


def test_the_plan_of_a_scan_is_that_of_a_plan_file(call, tables):
    shipped = of_shipped("scan", "own_records", {"records": "mine.csv"}, "mine")
    assert shipped.scenes == {"own_records": {"records": "mine.csv"}}
    assert parse(plans()["scan"](), source="scan").use == ("record_scan",)
    assert shipped.attacks["badnets"] == {"count": [4, 16, 64]}

"""``hartley plan --power``: a table and a JSON document of what settles each limit."""

import json
import math

import pytest

from hartley.engine.plan.plan import read
from hartley.engine.plan.power import cpu_seconds
from hartley.store.journal import read_journal

PLAN = """scene = "live:membership"
only = ["loss_threshold"]
[limits]
membership = 0.1
"membership.auc" = 0.9
[executor]
workers = 0
"""


def test_it_plans_from_a_pilot_and_from_declared_effects(call, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    early = call("plan", "--power", "plan.toml")
    assert early.returncode == 2 and "needs a finished run" in early.stderr
    call("assess", "plan.toml")
    done = call("plan", "--power", "plan.toml", "--json")
    assert done.returncode == 0, done.stderr
    forecast = json.loads(done.stdout)
    row, area = forecast["rows"]
    assert (area["limit"], area["side"]) == ("membership.auc", None)
    assert "its lower end is known at one level only" in area["reason"]
    assert (row["limit"], row["attack"], row["side"]) == ("membership", "loss_threshold", "over")
    assert row["uses"] >= row["clusters"] > 0 and row["chance"] >= 0.9
    assert row["measured"]["low"] < row["planned"] <= row["measured"]["point"]
    assert forecast["tests"] == 2  # the bits and the AUC of one row share the level
    assert forecast["not_planned"] == []
    more = PLAN.replace('"loss_threshold"]', '"loss_threshold", "lira"]')
    (tmp_path / "more.toml").write_text(more)
    absent = call("plan", "--power", "more.toml").stdout
    assert "not planned: attack:lira (not in the pilot plan-" in absent
    (tmp_path / "auc.toml").write_text(PLAN.replace("membership = 0.1\n", ""))
    alone = json.loads(call("plan", "--power", "auc.toml", "--json").stdout)
    (area,) = alone["rows"]
    assert (area["limit"], area["side"], alone["tests"]) == ("membership.auc", "over", 1)
    assert area["clusters"] >= 8 and area["uses"] == area["clusters"] * 128
    (tmp_path / "low.toml").write_text(PLAN.replace("membership = 0.1\n", "").replace("0.9", "0.4"))
    (area,) = json.loads(call("plan", "--power", "low.toml", "--json").stdout)["rows"]
    assert area["side"] == "over" and "only guesses, at 0.5, is over" in area["reason"]
    (tmp_path / "odd.toml").write_text(PLAN.replace("membership.auc", "membership.acu"))
    odd = call("plan", "--power", "odd.toml")
    assert odd.returncode == 2 and "did you mean auc" in odd.stderr
    # Dealing, playing and judging grow with the victims, measuring with their root; the blind
    # baseline of the records does not.
    (run,) = (tmp_path / "runs").glob("plan-*")
    records = read_journal(run / "journal.jsonl").records.values()
    (cpu,) = (record["cpu"] for record in records if "trials" in record)
    assert 0 < cpu["measures"] + cpu["plays"] + cpu["deals"] <= cpu["all"] + 0.001
    share = row["clusters"] / 16
    assert 0 < cpu["deals_once"] < cpu["deals"]
    grows = cpu["deals"] - cpu["deals_once"] + cpu["plays"]
    more = grows * (share - 1) + cpu["measures"] * (math.sqrt(share) - 1)
    assert forecast["cpu_seconds"] == pytest.approx(cpu["all"] + more, abs=0.06)
    grown = cpu_seconds(run, read(tmp_path / "plan.toml"), share)
    assert grown == pytest.approx(forecast["cpu_seconds"], abs=0.06)
    table = call("plan", "--power", "plan.toml", "--effect", "membership=0.4,seconds=2")
    assert "from declared effects" in table.stdout and "processor seconds" in table.stdout
    assert "not planned: membership.auc (a metric needs a pilot)" in table.stdout
    assert "planned" in table.stdout and "moved towards" not in table.stdout


def test_its_mistakes_are_one_line(call, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "none.toml").write_text('scene = "digits"')
    for arguments, words in {
        ("plan.toml", "--effect", "membership=1"): "must go with --power",
        ("--power", "plan.toml", "--only", "lira"): "must go without --only",
        ("--power", "plan.toml", "--effect", "membership"): "must be NAME=BITS",
        ("--power", "plan.toml", "--effect", "membership=x"): "must be a number",
        ("--power", "plan.toml", "--effect", "membership=1,use=3"): "takes bits, uses",
        ("--power", "plan.toml", "--effect", "membershp=1"): "did you mean membership",
        ("--power", "none.toml", "--effect", "membership=1"): "must have a table [limits]",
    }.items():
        done = call("plan", *arguments)
        assert done.returncode == 2 and words in done.stderr, done


def test_effects_that_no_channel_can_have_are_refused(call, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    for effect, words in {
        "membership=9": "must be at most 1 bit a use, its ceiling, got 9",
        "membership=-1": "bits of the effect 'membership' must be finite and at least 0, got -1",
        "membership=inf": "must be finite and at least 0, got inf",
        "membership=nan": "must be finite and at least 0, got nan",
        "membership=0.1,spread=nan": "spread of the effect 'membership' must be finite",
        "membership=0.1,seconds=-2": "seconds of the effect 'membership' must be finite",
        "membership=0.1,uses=2.5": "must be a number, got '2.5'",
        "membership=0.1,uses=0": "uses of the effect 'membership' must be finite and at least 1",
        "membership=0.1,alphabet=10": "must be 2 for scores, got 10; with more symbols say form=",
        "membership=4,form=symbol,alphabet=10": "must be at most 3.322 bit a use, its ceiling",
        "extraction=1": "must be on what a limit is about, got limits on membership, memb",
    }.items():
        done = call("plan", "--power", "plan.toml", "--effect", effect)
        assert (done.returncode, done.stdout) == (2, "") and words in done.stderr, done


def test_an_effect_above_the_ceiling_of_the_pilots_row_is_refused(call, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    call("assess", "plan.toml")
    done = call("plan", "--power", "plan.toml", "--pilot", "latest", "--effect", "membership=2")
    assert done.returncode == 2 and "must be at most 1 bit a use, its ceiling, got 2" in done.stderr


def test_bits_that_are_moved_towards_the_limit_are_named(call, tmp_path):
    plan = PLAN.replace("loss_threshold", "honest") + "[attacks.honest]\nnoise = 1.0\n"
    (tmp_path / "plan.toml").write_text(plan)
    call("assess", "plan.toml")
    row, _ = json.loads(call("plan", "--power", "plan.toml", "--json").stdout)["rows"]
    assert row["shifted"] and row["planned"] != row["measured"]["point"]
    table = call("plan", "--power", "plan.toml").stdout
    assert "measured  planned" in table and "moved towards the limit" in table

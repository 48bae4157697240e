"""The verdict of a stored run, judged again by the process that supervises the command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from hartley.cli.second_verdict import second_verdict

PLAN = """
scene = "live:membership"
only = ["loss_threshold", "lira"]
[limits]
membership = 1.0
[limits.least]
attacks = ["loss_threshold"]
[executor]
workers = 0
"""
WAYS = (
    ("assess", "plan.toml", "--only", "loss_threshold", "--skip", "lira", "--seed", "3"),
    ("assess", "--scene", "dead:membership", "--only", "loss_threshold", "--fresh", "--workers=0"),
)


@pytest.mark.parametrize("words", WAYS)
def test_a_pass_is_judged_alike(call, capsys, words):
    Path("plan.toml").write_text(PLAN)
    judge = second_verdict(words)
    assert call(*words).returncode == 0
    assert judge() == 0, capsys.readouterr().err
    assert second_verdict(words)() == 0  # a complete run, of which nothing was played


def test_the_plan_counts_as_it_was_when_the_command_began(call, capsys, tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(PLAN.replace("1.0", "0.05"))
    words = ("assess", "plan.toml", "--only", "loss_threshold")
    judge = second_verdict(words)
    plan.write_text(PLAN)
    assert call(*words).returncode == 0
    assert judge() == 3
    assert "must hold a finished run of the plan 'plan', got none" in capsys.readouterr().err
    judge = second_verdict(words)
    plan.write_text("edited while it is played")
    assert judge() == 0
    plan.write_text(PLAN)
    call(*words, "--fresh", "--seed", "1")  # the latest run is another command's
    assert second_verdict(words)() == 0 and second_verdict((*words, "--seed", "2"))() == 3


def test_what_is_stored_is_judged_and_not_what_was_printed(call, capsys, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    words = ("assess", "plan.toml", "--only", "loss_threshold", "--run", "one", "--store", "s")
    assert call(*words).returncode == 0
    again = ("assess", "--remeasure", "one", "--store", "s")
    assert call(*again).returncode == 0 and second_verdict(again)() == 0
    (trials,) = (tmp_path / "s/one/trials").iterdir()
    trials.write_bytes(trials.read_bytes()[:-1])
    assert second_verdict(words)() == 3 and second_verdict(again)() == 3
    assert "is missing or damaged" in capsys.readouterr().err
    shutil.rmtree(tmp_path / "s")
    assert second_verdict(words)() == 3
    assert second_verdict(("assess", "--help"))() == 0


def test_limits_on_settings_of_a_plugin_are_judged_by_the_plugin_alone(call, capsys, tmp_path):
    """The owner has named the part; its declarations are in its code."""
    plan = PLAN.replace("loss_threshold", "naps").replace(', "lira"', "")
    (tmp_path / "plan.toml").write_text(plan + "[attacks.naps]\nseconds = 0\n")
    (tmp_path / "other.toml").write_text(plan + "[limits.least.naps]\nseconds = 0\n")
    assert second_verdict(("assess", "plan.toml"))() == 3
    assert "got none" in capsys.readouterr().err
    assert second_verdict(("assess", "other.toml"))() == 0
    assert "[limits.least.naps] is about a part of a plugin" in capsys.readouterr().err

"""``hartley plan --power``: a table and a JSON document of what settles each limit."""

import json

PLAN = """scene = "live:membership"
only = ["loss_threshold"]
[limits]
membership = 0.1
"membership.auc" = 0.9
[executor]
workers = 0
"""


def test_it_plans_from_a_pilot_and_from_declared_effects(hartley, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    early = hartley("plan", "--power", "plan.toml")
    assert early.returncode == 2 and "needs a finished run" in early.stderr
    hartley("assess", "plan.toml")
    done = hartley("plan", "--power", "plan.toml", "--json")
    assert done.returncode == 0, done.stderr
    forecast = json.loads(done.stdout)
    (row,) = forecast["rows"]
    assert (row["limit"], row["attack"], row["side"]) == ("membership", "loss_threshold", "over")
    assert row["uses"] >= row["clusters"] > 0 and row["chance"] >= 0.9
    assert row["measured"]["low"] < row["bits"] <= row["measured"]["point"]
    assert forecast["tests"] == 2  # the bits and the AUC of one row share the level
    assert forecast["not_planned"] == [{"limit": "membership.auc", "reason": "a limit on a metric"}]
    assert forecast["cpu_seconds"] > 0
    table = hartley("plan", "--power", "plan.toml", "--effect", "membership=0.4,seconds=2")
    assert "from declared effects" in table.stdout and "processor seconds" in table.stdout


def test_its_mistakes_are_one_line(hartley, tmp_path):
    (tmp_path / "plan.toml").write_text(PLAN)
    (tmp_path / "none.toml").write_text('scene = "digits"')
    for arguments, words in {
        ("plan.toml",): "must be given --power",
        ("--power", "plan.toml", "--effect", "membership"): "must be NAME=BITS",
        ("--power", "plan.toml", "--effect", "membership=x"): "must be a number",
        ("--power", "plan.toml", "--effect", "membership=1,use=3"): "takes bits, uses",
        ("--power", "plan.toml", "--effect", "membershp=1"): "did you mean membership",
        ("--power", "none.toml", "--effect", "membership=1"): "must have a table [limits]",
    }.items():
        done = hartley("plan", *arguments)
        assert done.returncode == 2 and words in done.stderr, done

"""``hartley show RUN`` lists the rows of a run, and an unknown row is answered with the nearest."""

from __future__ import annotations

import json

import pytest

from hartley.cli.main import run
from hartley.cli.show import _row_lines

PLAN = """
scene = "live:membership"
only = ["loss_threshold"]
[games.membership]
rounds = 2
[defenses]
use = ["rounding"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("shown")
    (path / "small.toml").write_text(PLAN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        assert run(("assess", "small.toml", "--workers", "0")) == 0
    return path


def test_rows_are_listed_and_one_is_shown(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    capsys.readouterr()
    assert run(("show", "latest")) == 0
    out, err = capsys.readouterr()
    assert err == "show one with: hartley show latest ROW\n"
    heading, *lines = out.splitlines()
    assert heading.split()[:4] == ["row", "attack", "defenses", "knowledge"]
    assert run(("show", "latest", "--json")) == 0
    rows = [r for r in json.loads(capsys.readouterr().out) if r["status"] != "skipped"]
    assert [line.split()[0] for line in lines] == [row["id"] for row in rows]
    assert {row["attack"] for row in rows} == {"loss_threshold"} and len(rows) >= 2
    assert [row["defenses"] for row in rows] == [[], ["rounding"]]
    assert any("rounding" in line and "static" in line for line in lines)
    assert all("[" in line for line in lines)
    assert run(("show", "latest", rows[1]["id"])) == 0
    row_text = capsys.readouterr().out
    assert rows[1]["id"] in row_text and "{" not in row_text
    named = {line[:28].strip(): line[28:].strip() for line in row_text.splitlines()}
    assert named["bits per use"].count("[") == 1 and named["defenses"].startswith("rounding (")
    assert named["stage"].startswith("loss_threshold (floor=") and named["its game"]
    assert (
        "[" in named["auc"] and "n " in named["auc"] and int(named["queries"].replace("\u202f", ""))
    )


def test_a_row_says_how_many_models_it_trained_and_how_many_it_could():
    stage = {"attack": "lira", "params": {"references": 64, "online": True}, "slot": None}
    stage |= {"game": "membership", "game_params": {}}
    row = {
        "attack": "lira",
        "params": {"references": 64, "online": True},
        "experiment": {"stages": [stage], "defenses": [], "replicate": 0},
        "cost": {"models": 8.0},
        "rounds": 2,
    }
    lines = dict(_row_lines(row))
    assert lines["params"] == "references 16 of at most 64, online yes"
    assert lines["stage"] == "lira (references=16 of at most 64, online=True)"
    for whole in ({"cost": {"models": 32.0}}, {"cost": {}}):
        assert dict(_row_lines({**row, **whole}))["params"] == "references 64, online yes"


def test_an_unknown_row_offers_the_nearest(folder, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    assert run(("show", "latest", "loss_treshold")) == 2
    err = capsys.readouterr().err
    assert "no row 'loss_treshold' in the run latest; did you mean loss_threshold" in err
    assert "hartley show latest lists them" in err

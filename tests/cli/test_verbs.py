"""What each verb prints, called in this process."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from hartley import catalog
from hartley.cli.main import VERBS, run
from hartley.core.taxonomy import Modality
from hartley.report import FORMATS
from hartley.testing import check_attack


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run a command in an empty folder; return its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)

    def called(*words):
        code = run(words)
        out, err = capsys.readouterr()
        return code, out, err

    return called


def test_list_json_is_one_list_of_parts(call):
    code, out, err = call("list", "--json")
    rows = json.loads(out)
    keys = {
        "kind",
        "name",
        "game",
        "axis",
        "flow",
        "term",
        "modalities",
        "access",
        "paper",
        "summary",
    }
    assert code == 0 and err == "" and all(keys <= set(row) for row in rows)
    assert {row["kind"] for row in rows} == {"attack", "defense", "game", "scene"}
    lira = next(row for row in rows if row["name"] == "lira")
    assert lira["axis"] == "model_to_data" and lira["access"] == ["scores", "train"]


@pytest.mark.parametrize("what", ["attacks", "defenses", "games", "scenes"])
def test_list_of_one_kind(call, what):
    rows = json.loads(call("list", what, "--json")[1])
    assert rows and {row["kind"] for row in rows} == {what.removesuffix("s")}
    assert json.loads(call("list", what.removesuffix("s"), "--json")[1]) == rows


def test_lists_for_a_person(call):
    _, out, _ = call("list", "attacks")
    assert "loss_threshold" in out and "\x1b" not in out
    assert max(map(len, out.splitlines())) <= 100
    assert max(map(len, call("list", "attacks", "-v")[1].splitlines())) > 100  # nothing is cut off
    cells = json.loads(call("list", "--matrix", "--json")[1])["cells"]
    assert len(cells) == 14 * len(Modality) and set(cells[0]) == {
        *("class", "modality", "attacks", "defenses", "reason", "unfit")
    }
    assert "is not defined for" in call("list", "--matrix", "-v")[1]
    grid = call("list", "--matrix")[1].splitlines()
    assert len(grid) == 15 and max(map(len, grid)) <= 100
    counts = {
        c["modality"]: (len(c["attacks"]), len(c["defenses"]))
        for c in cells
        if c["class"] == "membership"
    }
    (line,) = [line for line in grid if line.startswith("membership ")]
    assert "{} + {}".format(*counts["vision"]) in line
    ids = json.loads(call("list", "frameworks", "--json")[1])
    assert {"class", "scheme", "edition", "id", "origin", "title"} == set(ids[0])
    assert "AML.T0024.000" in call("list", "frameworks")[1]


def test_the_runs_of_a_store_say_of_each_what_assess_said(call, strangers, tmp_path):
    assert json.loads(call("list", "runs", "--json")[1]) == []
    plan = 'scene = "live:membership"\nonly = ["honest"]\n'
    for status, limits in {
        "none": "",
        "pass": '[limits]\nmembership = 1.0\n[limits.least]\nattacks = ["honest"]',
        "over": "[limits]\nmembership = 0.1",
    }.items():
        (tmp_path / f"{status}.toml").write_text(plan + limits)
        said = call("assess", f"{status}.toml", "--workers", "0", "--run", status)[1]
        assert f"\nverdict: {status}\n" in said
    found = {row["id"]: row for row in json.loads(call("list", "runs", "--json")[1])}
    assert {name: row["status"] for name, row in found.items()} == {n: n for n in found}
    assert len(found) == 3 and {r["scene"] for r in found.values()} == {"live:membership"}
    lines = call("list", "runs")[1].splitlines()[1:]
    assert sorted((line.split()[0], line.split()[-1]) for line in lines) == [
        (name, name) for name in ("none", "over", "pass")
    ]


def test_show(call, strangers):
    code, out, _ = call("show", "honest")
    assert code == 0 and "attack honest  (plugin strangers, strangers.attacks)" in out
    assert "--noise" in out and "standard deviation of noise on the answer." in out
    facts = json.loads(call("show", "lira", "--json")[1])
    assert facts["paper"] == "arXiv:2112.03570"
    assert {p["name"] for p in facts["parameters"]} >= {"references", "online"}
    for entry in catalog.entries():
        code, out, _ = call("show", entry.name)
        assert code == 0 and max(map(len, out.splitlines())) <= 100, entry.name
    words = " ".join(call("show", "badnets")[1].split())
    assert "leaves out language: texts have no places with values" in words


def test_attack_takes_its_own_parameters(call, strangers):
    base = ("attack", "honest", "--scene", "live:membership", "--game-rounds", "4")
    code, out, err = call(
        *base, "--noise", "0.5", "--loud", "--word", "b", "--times", "2", "--json"
    )
    row = json.loads(out)
    assert code == 0 and err == "honest on live:membership\n"
    assert row["params"] == {"noise": 0.5, "loud": True, "word": "b", "times": 2}
    assert row["n"] == 4 * 128 and row["status"] == "measured"
    quiet = json.loads(call(*base, "--json")[1])
    assert quiet["bits"]["point"] > row["bits"]["point"] and quiet["params"]["noise"] == 0.0
    assert "honest" in call(*base)[1]


def test_attack_that_cannot_be_played_or_fails_exits_3(call, strangers):
    code, out, _ = call("attack", "compression", "--scene", "live:membership", "--json")
    assert code == 3 and json.loads(out)["cause"] == "scene"
    code, out, _ = call("attack", "crashes", "--scene", "live:membership", "--json")
    assert code == 3 and "on purpose" in json.loads(out)["reason"]
    code, out, _ = call(
        "attack", "honest", "--scene", "live:membership", "--budget", "100", "--json"
    )
    assert code == 3 and "BudgetSpent" in json.loads(out)["reason"]


def test_an_attack_on_other_records_is_refused_before_a_scene_is_built(call, monkeypatch):
    def build(*_):
        raise AssertionError("built")

    monkeypatch.setattr("hartley.engine.build_scene.build", build)
    code, out, _ = call("attack", "badnets", "--scene", "captions", "--json")
    row = json.loads(out)
    assert code == 3 and (row["status"], row["cause"]) == ("skipped", "modality")
    assert row["reason"].startswith("it plays vision, audio, tabular; captions is paired, since")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--game-rounds", "-1"), "membership: rounds must be from 0 to 10000, got -1"),
        (("--game-rounds", "1000000000"), "membership: rounds must be from 0 to 10000, got 10000"),
        (("--game-group", "-3"), "membership: group must be at least 0, got -3"),
        (("--floor", "0.6"), "loss_threshold: floor must be above 0 and at most 0.5, got 0.6"),
        (("--floor", "nan"), "loss_threshold: floor must be a number above 0 and at most 0.5, go"),
        (("--game-group", "0"), "loss_threshold on live:membership: the pool must have facts"),
    ],
)
def test_a_value_that_a_part_does_not_take_exits_2_in_one_line(call, flags, words):
    code, out, err = call("attack", "loss_threshold", "--scene", "live:membership", *flags)
    last = err.strip().splitlines()[-1]
    assert code == 2 and not out and last.startswith(f"hartley: {words}")


def test_help_and_show_print_ranges_and_choices_beside_the_defaults(call):
    text = " ".join(call("attack", "lira", "--help")[1].replace("│", " ").split())
    assert "random half of the records. [from 2 to 512] [default: 64]" in text
    assert "takes the scene's default. [from 0 to 10000] [default: 0]" in text
    text = " ".join(call("attack", "pair_similarity", "--help")[1].replace("│", " ").split())
    assert "[plain, augmented or weak] [default: augmented]" in text
    assert "int 64 [from 2 to 512; stronger with more] number of reference" in " ".join(
        call("show", "lira")[1].split()
    )
    shown = json.loads(call("show", "min_k", "--json")[1])["parameters"]
    assert shown[0]["limits"] == "above 0 and at most 1" and shown[0]["choices"] is None
    assert shown[0]["range"] == {"low": 0, "high": 1, "open_low": True, "open_high": False}
    (shown,) = json.loads(call("show", "membership", "--json")[1])["parameters"][1:2]
    assert shown["range"]["low"] == 0 and shown["range"]["high"] is None


def test_help_of_every_verb(call, strangers):
    assert "assess" in call("--help")[1]
    for verb in VERBS:
        code, out, _ = call(verb, "--help")
        assert code == 0 and verb in out
    own = call("attack", "honest", "--help")[1]
    assert "--noise" in own and "standard deviation of noise" in own and "--game-rounds" in own
    from hartley import __version__

    assert call("--version")[1].strip() == __version__


def test_measure_prints_an_entry_of_channels(call, tmp_path):
    rng = random.Random(0)
    truth = [rng.getrandbits(1) for _ in range(400)]
    rows = "\n".join(f"{bit},{bit * 2 + rng.random() / 2:.4f}" for bit in truth)
    (tmp_path / "t.csv").write_text(f"truth,score\n{rows}\n")
    code, out, _ = call("measure", "t.csv", "--json")
    row = json.loads(out)
    assert code == 0 and row["bits"]["low"] > 0.8 and row["ceiling"] == 1.0
    assert {"point", "low", "high", "raw", "null"} <= set(row["bits"]) and row["metrics"]["auc"]
    assert row["status"] == "measured" and row["n"] == 400 and row["attack"] == "t"
    assert "bits per use" in call("measure", "t.csv")[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("truth,score\n", "0 rows"),
        ("score\n1\n2\n", "must have a column `truth`"),
        ("truth\n1\n0\n", "must have a column `guess` or `score`"),
        ("truth,score\n1,2\n1,3\n", "one class"),
        ("truth,score\n1,nan\n0,3\n", "NaN"),
    ],
)
def test_measure_refuses_what_cannot_be_measured(call, tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    code, out, err = call("measure", "t.csv", "--json")
    assert code == 2 and out == "" and words.lower() in err.lower() and err.count("\n") == 1


def test_report_and_remeasure(call, strangers, tmp_path):
    call("assess", "--scene", "live:membership", "--only", "honest", "--workers", "0", "--run", "r")
    for form in FORMATS.keys() - {"html"}:
        code, out, _ = call("report", "r", "--format", form)
        assert code == 0 and "honest" in out
    code, out, err = call("report", "latest")
    assert code == 0 and out == "" and "report.html" in err
    page = tmp_path / "runs/r/report.html"
    assert "honest" in page.read_text()
    stamp = page.stat().st_mtime_ns
    code, _, err = call("report", "latest")
    assert code == 0 and "is up to date" in err and page.stat().st_mtime_ns == stamp
    page.write_text(page.read_text().replace("honest", "edited"))
    call("report", "latest")
    assert "edited" in page.read_text(), "the same run by the same code: left as it is"
    document = tmp_path / "runs/r/run.json"
    document.write_text(document.read_text().replace('"seed": 0', '"seed": 7', 1))
    code, _, err = call("report", "latest")
    assert code == 0 and "wrote" in err and "edited" not in page.read_text()
    document.write_text(document.read_text().replace('"seed": 7', '"seed": 0', 1))
    page.write_bytes(b"\xff no page")
    code, _, err = call("report", "latest")
    assert code == 0 and "wrote" in err and "honest" in page.read_text()
    code, _, err = call("report", "r", "--out", str(tmp_path / "no/x.html"))
    assert code == 2 and "there is no folder" in err
    before = json.loads((tmp_path / "runs/r/run.json").read_text())
    code, out, _ = call("assess", "--remeasure", "r", "--json")
    assert code == 0 and json.loads(out)["channels"] == before["channels"]


def test_plans_are_listed_as_what_assess_points_at(call):
    from hartley.cli.assess import plans

    rows = json.loads(call("list", "plans", "--json")[1])
    assert [row["name"] for row in rows] == sorted(plans())
    demo = next(row for row in rows if row["name"] == "demo")
    assert demo["scene"] == "digits" and demo["summary"].startswith("The demo: all four axes")
    assert all(row["summary"] and "Play it with" not in row["summary"] for row in rows)
    assert "The demo: all" in call("list", "plans")[1]
    assert "plans" in call("list", "--help")[1]


def test_packs_are_listed(call):
    rows = json.loads(call("pack", "list", "--json")[1])
    assert {"name", "licence", "bytes", "folder"} <= set(rows[0])
    assert rows[0]["name"] in call("pack", "list")[1]


def test_the_shipped_plan_is_valid():
    from hartley.cli.assess import plans
    from hartley.engine.plan.check_plan import check_parameters
    from hartley.engine.plan.plan import parse

    assert "demo" in plans()
    for name, text in plans().items():
        plan = parse(text())
        check_parameters(plan)
        assert bool(plan.scene) == (name != "scan")


def test_the_plan_of_a_scan_asks_for_records(call):
    code, _, err = call("assess", "scan")
    assert code == 2 and "--records DATA --target COLUMN" in err


GAMES = sorted({e.game for e in catalog.entries("attack") if e.kind == "attack"})


QUICK = ("membership", "decryption")  # the others train; their attacks are checked in test_parts


@pytest.mark.parametrize(
    "game",
    [pytest.param(g, marks=[] if g in QUICK else [pytest.mark.slow]) for g in GAMES],
)
def test_a_new_attack_passes_conformance_from_the_first_minute(call, tmp_path, monkeypatch, game):
    code, out, err = call("new", "attack", "brand_new", "--game", game)
    assert code == 0 and out == "brand_new.py\n"
    assert '[project.entry-points."hartley.parts"]' in err and "pip install -e ." in err
    assert (
        str(Path(catalog.__file__).parent.parent) not in err
    )  # Hartley's own folder is not theirs
    source = (tmp_path / "brand_new.py").read_text()
    assert "def brand_new(" in source
    if game == "membership":
        assert source.count("\n") < 60
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("brand_new", None)
    try:
        check_attack(import_module("brand_new").brand_new)
    finally:
        del sys.modules["brand_new"]
    assert call("new", "attack", "brand_new", "--game", game)[0] == 2
    assert call("new", "attack", "brand_new", "--game", game, "--force")[0] == 0


def test_new_in_a_checkout_goes_where_the_house_finds_it(tmp_path):
    """A copy of the tree: the new file is listed and assessed with no other edit."""
    import shutil

    source = Path(catalog.__file__).parent.parent
    shutil.copytree(source, tmp_path / "src/hartley", ignore=shutil.ignore_patterns("*.pyc.*"))
    env = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}

    def hartley(*words):
        return subprocess.run(
            [sys.executable, "-m", "hartley.cli.main", *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    done = hartley("new", "attack", "strange")
    path = tmp_path / "src/hartley/attacks/model_to_data/membership/strange.py"
    assert done.returncode == 0 and path.exists(), done.stderr
    assert "strange" in [r["name"] for r in json.loads(hartley("list", "--json").stdout)]
    done = hartley("assess", "--scene", "live:membership", "--only", "strange", "--run", "s")
    assert done.returncode == 0 and "strange" in done.stdout, done.stderr
    assert "strange" in hartley("report", "s", "--format", "md").stdout


def test_packs_are_fetched_by_name_or_as_the_core(call, tmp_path, monkeypatch):
    """A user's folder stands in for the download, so that no network is needed here."""
    code, _, err = call("pack", "get")
    assert code == 2 and "name a pack" in err
    code, _, err = call("pack", "get", "dialogue", "smollm2", "--from", str(tmp_path))
    assert code == 2 and "one" in err
    monkeypatch.setenv("HARTLEY_PACKS", str(tmp_path))
    code, _, err = call("pack", "get", "dialogue", "--from", str(tmp_path))
    assert code == 2 and "Traceback" not in err


def test_a_scene_takes_parameters_on_the_command_line(call):
    code, _, err = call("attack", "loss_threshold", "--scene", "digits", "--set", "opend=true")
    assert code == 2 and "did you mean opened" in err
    code, _, err = call("assess", "--scene", "digits", "--set", "opened")
    assert code == 2 and "NAME=VALUE" in err
    words = ("attack", "exposure", "--scene", "digits", "--game-rounds", "2", "--json")
    code, out, _ = call(*words, "--set", "records=200", "--set", "epochs=5")
    assert code == 0 and json.loads(out)["n"] == 8

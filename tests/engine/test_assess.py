"""The whole line in this process: what is played, what fails, what is kept, what it says."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import jsonschema
import numpy as np
import pytest

import hartley
from hartley.channel.measure import measure
from hartley.core.errors import MissingPack, RunError, StoreError, UnknownName, UsageError
from hartley.engine import assess as line
from hartley.engine.assess import Stopped, assess, remeasure
from hartley.engine.plan.plan import Plan
from hartley.engine.run import player
from hartley.engine.run.play import play
from hartley.store import read_trials

SOURCE = Path(hartley.__file__).parent

SCHEMA = jsonschema.Draft202012Validator(
    json.loads(files("hartley.reference").joinpath("run.schema.json").read_text())
)
LIVE = Plan(scene="live:membership", only=("loss_threshold",), workers=0)
FEW = {"membership": {"rounds": 4}}


def rows(document, status=None):
    return {
        row["attack"]: row
        for row in document["channels"]
        if row["baseline"] and (status is None or row["status"] == status)
    }


@pytest.fixture
def store(tmp_path):
    return tmp_path / "runs"


def test_the_live_wire_leaks_and_the_dead_wire_does_not(store):
    live = assess(LIVE, store=store)
    dead = assess(replace(LIVE, scene="dead:membership"), store=store)
    for document in (live, dead):
        SCHEMA.validate(document)
    loud, still = rows(live)["loss_threshold"], rows(dead)["loss_threshold"]
    assert loud["status"] == "measured" and loud["bits"]["low"] > 0.5
    assert loud["axis"] == "model_to_data" and loud["params"] == {"floor": 1e-6}
    assert loud["tags"] and loud["n"] == 16 * 128 and loud["clusters"] == 16
    assert still["bits"]["low"] == 0 and still["bits"]["high"] < 0.02
    assert live["verdict"]["status"] == "pass"
    for row in (loud, still):
        assert len(row["registration"]) == len(row["commit"]) == 64
    assert loud["commit"] == still["commit"]


def test_every_attack_has_a_row_and_every_row_that_was_not_played_has_a_reason(store):
    from hartley import catalog

    document = assess(LIVE, store=store)
    # Controls of chains are played only where a plan names them.
    assert set(rows(document)) == {e.name for e in catalog.entries("attack") if not e.control}
    for row in document["channels"]:
        assert (row["status"] == "measured") != bool(row["reason"])
        assert (row["status"] == "skipped") == bool(row["cause"])


def test_what_was_played_is_not_played_again(store, monkeypatch):
    first = assess(LIVE, store=store)
    seen = []
    again = assess(LIVE, store=store, watch=lambda event, facts: seen.append(event))
    assert again == first and seen == ["scene", "kept"]
    monkeypatch.setattr(player.Player, "run", None)  # nothing may be played any more
    limited = replace(LIVE, limits={"membership": 0.01})
    over = assess(limited, store=store)
    assert over["id"] == first["id"] and over["verdict"]["status"] == "over"
    assert over["channels"] == first["channels"]


def test_fresh_plays_again_and_finds_the_same(store):
    first = assess(LIVE, store=store)
    again = assess(LIVE, store=store, fresh=True)
    assert again["id"] != first["id"]
    assert rows(again)["loss_threshold"]["bits"] == rows(first)["loss_threshold"]["bits"]


def test_another_seed_is_another_run(store):
    a, b = assess(LIVE, store=store), assess(replace(LIVE, seed=1), store=store)
    assert a["id"] != b["id"]


def test_a_run_is_measured_again_without_a_model(store, monkeypatch):
    first = assess(LIVE, store=store)
    monkeypatch.setattr(line.build_scene, "build", None)
    monkeypatch.setattr(player.Player, "run", None)
    path = store / first["id"] / "run.json"
    path.unlink()
    again = remeasure(store / first["id"])
    assert {**again, "finished": 0} == {**first, "finished": 0} and path.exists()


def test_what_cannot_be_measured_fails_its_row(store, monkeypatch):
    import hartley.channel.measure as measure

    def broken(trials):
        raise ZeroDivisionError("no bits today")

    monkeypatch.setattr(measure, "measure", broken)
    document = assess(LIVE, store=store)
    row = rows(document)["loss_threshold"]
    assert row["status"] == "failed" and "ZeroDivisionError: no bits today" in row["reason"]
    assert document["verdict"]["status"] == "inconclusive"
    monkeypatch.undo()
    assert rows(assess(LIVE, store=store))["loss_threshold"]["status"] == "measured"


def test_a_crash_fails_its_row_and_the_run_goes_on(store, strangers):
    names = ("crashes", "leaves", "answers_nan", "wants_torch_of_mars", "honest")
    plan = replace(LIVE, only=names, games=FEW)
    document = assess(plan, store=store)
    SCHEMA.validate(document)
    found = rows(document)
    assert found["honest"]["status"] == "measured" and found["honest"]["bits"]["low"] > 0.2
    for name, words in {
        "crashes": "ValueError: on purpose in two lines (attacks.py:",
        "leaves": "SystemExit",
        "answers_nan": "RunError: answers_nan: guess must be finite, got NaN or infinity",
        "wants_torch_of_mars": "ModuleNotFoundError: No module named 'torch_of_mars'",
    }.items():
        assert found[name]["status"] == "failed" and words in found[name]["reason"]
        assert "bits" not in found[name]
    assert document["verdict"]["status"] == "inconclusive"
    journal = (store / document["id"] / "journal.jsonl").read_text()
    assert "Traceback" in journal and "Traceback" not in json.dumps(document)


def test_what_failed_is_played_again_by_the_same_command(store, strangers):
    plan = replace(LIVE, only=("crashes", "honest"), games=FEW)
    assess(plan, store=store)
    played = []
    assess(
        plan,
        store=store,
        watch=lambda event, facts: event == "ended" and played.append(facts["job"].label),
    )
    assert played == ["crashes"]


@pytest.mark.parametrize(
    ("scene", "words"),
    [
        ("says_nan", "BadModel: 'lookup' answered with NaN or infinity"),
        ("says_too_little", r"BadModel: .* of 'lookup' .* must have shape .*, got \(128, 3\)"),
        ("says_logits", "BadModel: .*are they logits"),
    ],
)
def test_a_model_that_answers_badly_fails_the_row(store, strangers, scene, words):
    import re

    document = assess(replace(LIVE, scene=scene, games=FEW), store=store)
    row = rows(document)["loss_threshold"]
    assert row["status"] == "failed" and re.search(words, row["reason"])
    assert document["verdict"]["status"] == "inconclusive"


def test_a_scene_that_falls_down_is_told(store, strangers):
    with pytest.raises(RunError, match="'falls_down' failed: ZeroDivisionError: no scene today"):
        assess(replace(LIVE, scene="falls_down"), store=store)


def test_unknown_names_and_parameters(store, strangers):
    for plan, error, words in [
        (replace(LIVE, scene="digts"), UnknownName, "did you mean digits"),
        (replace(LIVE, scene="live:menbership"), UnknownName, "live:membership"),
        (replace(LIVE, scene="live:membership:visio"), UnknownName, "did you mean vision"),
        (replace(LIVE, scenes={"live:membership": {"a": 1}}), UsageError, "no parameters"),
        (replace(LIVE, scene="plain", scenes={"plain": {"shure": 1}}), UsageError, "mean sure"),
        (replace(LIVE, only=("los_threshold",)), UnknownName, "did you mean loss_threshold"),
        (replace(LIVE, use=("roundin",)), UnknownName, "did you mean rounding"),
        (replace(LIVE, attacks={"loss_threshold": {"flor": 1}}), UsageError, "did you mean floor"),
    ]:
        with pytest.raises(error, match=words):
            assess(plan, store=store)
    assert not store.exists()


def test_a_secret_comes_from_the_environment_and_is_not_in_the_run(
    store, strangers, monkeypatch, call
):
    """Neither a flag nor a plan may carry it, and no file of the run holds it."""
    word = "s3cret-w0rd"
    done = call("assess", "--scene", "keyed", "--set", f"api_key={word}")
    assert done.returncode == 2 and "set the environment variable HARTLEY_API_KEY" in done.stderr
    with pytest.raises(UsageError, match="HARTLEY_API_KEY"):
        assess(replace(LIVE, scene="keyed", scenes={"keyed": {"api_key": word}}), store=store)
    assert not store.exists()
    monkeypatch.setenv("HARTLEY_API_KEY", word)
    document = assess(replace(LIVE, scene="keyed", games=FEW), store=store)
    assert rows(document)["loss_threshold"]["status"] == "measured"
    files = [path for path in store.rglob("*") if path.is_file()]
    assert files and not [path for path in files if word.encode() in path.read_bytes()]


def test_a_sweep_and_its_replicates_are_rows_of_their_own(store):
    plan = replace(
        LIVE,
        only=("lira",),
        attacks={"lira": {"references": [2, 4]}},
        games=FEW,
        replicates=2,
    )
    document = assess(plan, store=store)
    found = [row for row in document["channels"] if row["status"] == "measured"]
    settings = sorted(
        (row["params"]["references"], row["experiment"]["replicate"]) for row in found
    )
    assert settings == [(2, 0), (2, 1), (4, 0), (4, 1)]
    assert len({row["id"] for row in document["channels"]}) == len(document["channels"])
    commits = {row["commit"] for row in found}
    assert len(commits) == 2  # each replicate has secrets of its own


def test_deployed_defenses_belong_to_the_baseline(store):
    plan = replace(LIVE, only=("loss_threshold", "lira"), games=FEW, deployed=("rounding",))
    document = assess(plan, store=store)
    measured = [row for row in document["channels"] if row["status"] == "measured"]
    assert all(row["baseline"] for row in measured) and not document["defenses"]
    for row in measured:
        assert [one["name"] for one in row["experiment"]["defenses"]] == ["rounding"]
    known = {row["attack"]: row["knowledge"] for row in measured}
    assert known == {"loss_threshold": "static", "lira": "adaptive"}


def test_two_defenses_together_are_a_row_beside_each_alone(store):
    plan = replace(
        LIVE, only=("loss_threshold",), games=FEW, use=("rounding", "rounding+label_only")
    )
    document = assess(plan, store=store)
    SCHEMA.validate(document)
    assert [row["name"] for row in document["defenses"]] == ["rounding", "rounding+label_only"]
    bare = rows(document)["loss_threshold"]
    for row in document["defenses"]:
        (left,) = row["residual"].values()
        assert bare["id"] in row["residual"] and left["static"] is not None
        assert left["adaptive"] is None and "not adaptive" in left["reason"]
        assert row["coverage"][bare["id"]]["attackers"] == ["static"]


def test_static_and_adaptive_rows_are_measured_with_one_seed(store):
    """The null and the folds of a row do not depend on what its attacker knew."""
    plan = replace(LIVE, only=("calibrated_loss",), games=FEW, use=("rounding",))
    assess(plan, store=store)
    trials = [read_trials(path) for path in sorted(store.glob("*/trials/*.parquet"))]
    first = trials[0]
    channels = [
        measure(replace(first, knowledge=known)) for known in ("none", "static", "adaptive")
    ]
    assert channels[0] == channels[1] == channels[2]


def test_python_the_command_line_and_a_plan_give_the_same_trials(store, call):
    given = {"loss_threshold": {"floor": 1e-3}}
    plan = replace(LIVE, seed=3, only=("loss_threshold",), attacks=given, games=FEW)
    document = assess(plan, store=store)
    (path,) = store.glob("*/trials/*.parquet")
    planned, rules = read_trials(path), FEW["membership"]
    direct = play("loss_threshold", "live:membership", seed=3, floor=1e-3, game_params=rules)
    assert direct.run_id == planned.run_id
    for column in ("truth", "guess", "cluster"):
        assert np.array_equal(getattr(direct, column), getattr(planned, column)), column
    flags = [word for name, value in rules.items() for word in (f"--game-{name}", str(value))]
    done = call(
        *("attack", "loss_threshold", "--scene", "live:membership", "--seed", "3"),
        *("--floor", "1e-3", "--json", *flags),
    )
    row, (of_plan,) = json.loads(done.stdout), document["channels"][:1]
    assert row["run_id"] == of_plan["run_id"] == direct.run_id
    for name in ("bits", "metrics", "n", "uses", "params"):
        assert row[name] == of_plan[name], name


EDITED = ("engine/run/meter.py", "kit/nets.py")
SHARED_STEP = "attacks/model_to_data/reference_models.py"
COMMAND = "import sys; from hartley.cli.main import run; sys.exit(run(sys.argv[1:]))"


def test_an_edited_file_is_played_again_however_far_from_the_attack(tmp_path):
    """Real files: a copy of the package is edited, and the same command is given again.

    The fault that was found: LiRA's shared step was zeroed, and the old bits were printed.
    """
    package = tmp_path / "src" / "hartley"
    shutil.copytree(SOURCE, package, ignore=shutil.ignore_patterns("*.pyc.*"))
    words = ("--scene", "live:membership", "--only", "lira", "--workers", "0", "--json")
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}

    def bits() -> tuple[float, str]:
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, "assess", *words],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        rows = json.loads(done.stdout)["channels"]
        (row,) = [row for row in rows if row["status"] == "measured"]
        return row["bits"]["point"], done.stderr

    first, progress = bits()
    assert first > 0.9 and "complete" not in progress
    assert "complete" in bits()[1]
    for edited in EDITED:
        path = package / edited
        path.write_text(path.read_text() + "\n\nEDITED = 1\n")
        again, progress = bits()
        assert again == first and "complete" not in progress, edited
    path = package / SHARED_STEP
    path.write_text(
        path.read_text()
        + "\n\n_true_confidence = confidence\n\n\n"
        + "def confidence(*words, **named):\n"
        + "    return _true_confidence(*words, **named) * 0\n"
    )
    assert bits()[0] < 0.05


def test_ctrl_c_keeps_what_was_played(store, strangers, monkeypatch):
    plan = replace(LIVE, only=("chatters", "honest", "loss_threshold"), games=FEW)
    ended = []

    def watch(event, facts):
        if event == "ended":
            ended.append(facts["job"].label)
        if event == "started" and len(ended) == 2:
            raise KeyboardInterrupt

    with pytest.raises(Stopped, match=r"stopped: 2 of 3 jobs are kept in .* continues from there"):
        assess(plan, store=store, watch=watch)
    rest = []
    document = assess(
        plan,
        store=store,
        watch=lambda event, facts: event == "ended" and rest.append(facts["job"].label),
    )
    assert sorted(ended + rest) == ["chatters", "honest", "loss_threshold"] and len(rest) == 1
    assert all(rows(document)[name]["status"] == "measured" for name in ended + rest)


def test_a_defence_has_its_residuals_its_price_and_its_coverage(store):
    plan = replace(
        LIVE,
        scene="digits",
        use=("label_only",),
        games={"membership": {"rounds": 2}},
        limits={"membership": 0.9},
    )
    document = assess(plan, store=store)
    SCHEMA.validate(document)
    (row,) = document["defenses"]
    assert row["name"] == "label_only" and row["relative_to_suite"] is True
    bare = rows(document)["loss_threshold"]
    left = row["residual"][bare["id"]]
    assert left["undefended"]["n"] == left["static"]["n"] > 0 and left["adaptive"] is None
    price = row["utility"]["accuracy"]
    assert price["before"] == price["after"]
    assert 0.7 < price["after"]["low"] < price["after"]["value"] < price["after"]["high"] <= 1
    assert price["after"]["value"] > 0.8 and price["after"]["n"] > 100
    assert document["channels"][0]["knowledge"] == "none"
    share, taken = row["coverage"][bare["id"]], left["static"]["point"] / bare["bits"]["point"]
    assert share["point"] == pytest.approx(1 - taken) and 0.1 < share["point"] < 0.4
    assert share["low"] == 0 and share["attackers"] == ["static"]  # 1800 uses certify nothing


def test_a_defence_that_cannot_stand_says_why(store):
    document = assess(replace(LIVE, use=("coded_mark",)), store=store)
    (row,) = document["defenses"]
    assert "has no" in row["reason"] and row["residual"] == {}


def test_a_full_disk_stops_the_run_and_loses_nothing(store, strangers, monkeypatch):
    import errno

    from hartley.store import disk

    plan = replace(LIVE, only=("honest", "loss_threshold"), games=FEW)
    played = []
    real = disk.os.write

    def write(handle, content):
        if played:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(handle, content)

    monkeypatch.setattr(disk.os, "write", write)

    def watch(event, facts):
        if event == "ended":
            played.append(facts["job"].label)

    with pytest.raises(StoreError, match="no space left"):
        assess(plan, store=store, watch=watch)
    monkeypatch.undo()
    assert len(played) == 1
    rest = []
    assess(
        plan,
        store=store,
        watch=lambda event, facts: event == "ended" and rest.append(facts["job"].label),
    )
    assert sorted(played + rest) == ["honest", "loss_threshold"]


def test_a_pack_that_is_missing_is_a_mistake_of_the_user(store, strangers, monkeypatch):
    from strangers import scenes as theirs

    def build(**params):
        raise MissingPack("fashion-mnist")

    monkeypatch.setattr(theirs, "plain", replace(theirs.plain, build=build))
    with pytest.raises(MissingPack, match="hartley pack get fashion-mnist"):
        assess(replace(LIVE, scene="plain"), store=store)

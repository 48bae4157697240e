"""A model is what it declares to be: nothing asks it outside the meter, and it resumes by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hartley.core import Data, Modality, Model, Scene
from hartley.core.errors import RunError
from hartley.engine import build_scene
from hartley.engine.assess import Stopped, assess
from hartley.engine.plan.plan import Plan
from hartley.engine.run.play import deal
from hartley.games.membership.membership import membership

ATTACKS = ("loss_threshold", "label_only_membership", "entropy_metrics")


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strangers: Path) -> Path:
    del strangers
    monkeypatch.setenv("COUNTED", str(tmp_path / "asked.txt"))
    return tmp_path / "asked.txt"


def _counted(path: Path) -> tuple[int, set[str]]:
    """Records that the model was really asked about, and the processes that asked."""
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return sum(int(n) for _, n in lines), {pid for pid, _ in lines}


def _plan(workers: int, **params: object) -> Plan:
    return Plan(scene="counted", only=ATTACKS, workers=workers, scenes={"counted": params})


def _rows(document: dict) -> list[dict]:
    return [row for row in document["channels"] if row["status"] == "measured"]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_meter_counts_every_question_that_the_model_received(
    asked: Path, tmp_path: Path, workers: int
) -> None:
    """Over the parent and its workers: building, dealing and measuring ask nothing."""
    document = assess(_plan(workers, identity="a 1"), store=tmp_path / "runs")
    rows = _rows(document)
    assert {row["attack"] for row in rows} == set(ATTACKS)
    received, processes = _counted(asked)
    assert sum(row["uses"] for row in rows) == received > 0
    assert len(processes) == max(1, workers)


def test_a_steady_model_answers_a_question_of_two_attacks_once(asked: Path, tmp_path: Path) -> None:
    only = ("loss_threshold", "entropy_metrics")
    plan = replace(_plan(0, identity="a", jitter=0.0, steady=True), only=only)
    rows = _rows(assess(plan, store=tmp_path / "runs"))
    assert [row["uses"] for row in rows] == [200, 200]
    assert _counted(asked)[0] == 200


def test_answers_that_jitter_resume_under_a_declared_identity(asked: Path, tmp_path: Path) -> None:
    store, events = tmp_path / "runs", []
    plan = _plan(0, identity="a 1")
    first = assess(plan, store=store)
    received, _ = _counted(asked)
    again = assess(plan, store=store, watch=lambda event, facts: events.append(event))
    assert again == first and events == ["scene", "kept"]
    assert _counted(asked)[0] == received, "nothing was asked again"
    other = assess(_plan(0, identity="a 2"), store=store)
    assert other["id"] != first["id"], "another model is another run"


def test_a_scene_without_identity_says_so_and_begins_anew(asked: Path, tmp_path: Path) -> None:
    store, events = tmp_path / "runs", []
    first = assess(_plan(0), store=store, watch=lambda event, facts: events.append(event))
    received, _ = _counted(asked)
    second = assess(_plan(0), store=store)
    assert "not resumable" in events
    assert second["id"] != first["id"] and _counted(asked)[0] == 2 * received
    stopped = str(Stopped(store, 1, 2, resumable=False))
    assert "goes on" not in stopped and "begins a new run" in stopped


def test_the_command_prints_that_a_scene_is_not_resumable(call, asked: Path) -> None:
    words = ("assess", "--scene", "counted", "--only", "loss_threshold", "--workers", "0")
    done = call(*words)
    assert done.returncode == 0, done.stderr
    assert "the scene counted is not resumable, because its model declares no identity" in (
        done.stderr
    )


def test_a_scene_that_gives_a_digest_or_has_no_model_is_resumable() -> None:
    bare = Scene("mine", Modality.TABULAR, train=Data("d", Modality.TABULAR, np.zeros((3, 2))))
    model = Model("m", Modality.TABULAR, lambda x: x, classes=2)
    assert build_scene.identified("digits", bare, {}).resumable
    nameless = build_scene.identified("digits", replace(bare, model=model), {})
    assert not nameless.resumable
    one, two = (
        build_scene.identified("digits", replace(bare, model=model.with_(identity=i)), {})
        for i in ("1", "2")
    )
    assert one.resumable and len({one.digest, two.digest, nameless.digest}) == 3


def test_texts_are_digested_by_what_they_say() -> None:
    def digest(*words: str) -> str:
        x = np.array(words, dtype=object)
        scene = Scene("mine", Modality.LANGUAGE, train=Data("d", Modality.LANGUAGE, x))
        return build_scene.identified("digits", scene, {}).digest

    assert digest("".join(["a ", "text"]), "b") == digest("a text", "b")
    assert digest("a text", "b") != digest("a text", "c")


def test_a_model_that_cannot_read_the_records_is_a_failed_row_with_a_reason() -> None:
    """Where the model fails, its row says so: nobody shows it records beforehand to find out."""
    from hartley.attacks.model_to_data.membership.loss_threshold import loss_threshold
    from hartley.engine.run.play import play

    mix = np.ones((7, 2))
    model = Model("narrow", Modality.TABULAR, lambda x: np.exp(x @ mix), classes=2)
    rng = np.random.default_rng(0)
    parts = [
        Data(name, Modality.TABULAR, rng.normal(size=(40, 4)), np.zeros(40, int))
        for name in ("train", "holdout")
    ]
    scene = Scene("mine", Modality.TABULAR, model=model, train=parts[0], holdout=parts[1])
    assert deal(loss_threshold, scene, seed=0).rounds and membership.requires
    with pytest.raises(RunError, match=r"query of arguments of shape \(80, 4\) failed in .*narrow"):
        play(loss_threshold, scene)

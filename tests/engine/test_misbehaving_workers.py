"""Parts that harm their worker process cost one row: limits, hangs, garbage and what is left."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hartley import catalog
from hartley.cli.main import run
from hartley.core import Experiment, Stage
from hartley.core.errors import RunError
from hartley.engine.assess import assess
from hartley.engine.plan.plan import Plan, normalised, parse
from hartley.engine.run import executor, processes, worker_process
from hartley.engine.run.frames import Frames, GarbledFrame, new_token, pack
from hartley.store import trials_from_bytes

MISBEHAVING = Path(__file__).parent.parent / "misbehaving"


@pytest.fixture
def misbehaving(monkeypatch, tmp_path):
    """The plugin distribution ``misbehaving``, found by this process and its workers."""
    monkeypatch.syspath_prepend(MISBEHAVING)
    monkeypatch.setenv("HARTLEY_MISBEHAVE", str(tmp_path))
    catalog.refresh()
    yield
    for name in [n for n in sys.modules if n.split(".")[0] == "misbehaving"]:
        del sys.modules[name]
    monkeypatch.undo()
    catalog.refresh()


def job(attack, **params):
    stage = Stage(attack, params, "membership", {"rounds": 2})
    return Experiment("live:membership", stages=(stage,))


def play(jobs, *, workers=2, isolate=False, **more):
    """Not isolated, so that it is the worker that a part harms."""
    results = {}
    executor.perform(
        jobs,
        workers=workers,
        isolate=isolate,
        started=lambda job: None,
        finished=lambda job, result: results.__setitem__(job.key, result),
        **more,
    )
    return [results[job.key] for job in jobs]


def perform(names, **more):
    results = play([job(name) for name in names], **more)
    return {
        name: (result.status, result.note.get("reason", ""))
        for name, result in zip(names, results, strict=True)
    }


def descendants():
    """Processes of this one: those of other tests are not."""
    table = processes.process_table()
    return {pid for pid in table if processes.descends(pid, os.getpid(), table)}


HARMS = {
    "eats_memory": "more than the memory limit of 0.6 GiB; raise it with --memory-limit",
    "leaves_a_nameless_daemon": "ended with exit code 0",
    "writes_everywhere": "a part wrote into the pipe of its worker process",
    "closes_everything": "a part closed the descriptor on which its worker process answers",
}


def test_what_harms_a_worker_costs_one_row_and_leaves_no_process(misbehaving, tmp_path):
    before = descendants()
    limits = executor.Limits(memory=0.6 * executor.GIB)
    results = perform([*HARMS, "loss_threshold"], limits=limits, logs=tmp_path)
    assert results.pop("loss_threshold") == ("done", "")
    assert results.keys() == HARMS.keys()
    for name, reason in HARMS.items():
        assert results[name][0] == "failed" and reason in results[name][1], results[name]
    assert descendants() == before


def test_a_part_that_cannot_be_stopped_ends_at_the_time_limit(misbehaving):
    results = perform(["never_gives_up"], limits=executor.Limits(seconds=0.5))
    status, reason = results["never_gives_up"]
    assert status == "failed"
    assert "longer than the time limit of 0.5 s; raise it with --time-limit SECONDS" in reason


@pytest.mark.parametrize(("workers", "isolate"), [(0, False), (0, None)])
def test_a_copy_of_a_process_that_returns_too_ends(misbehaving, workers, isolate):
    before = descendants()
    results = perform(["forks_and_returns_twice"], workers=workers, isolate=isolate)
    assert results == {"forks_and_returns_twice": ("done", "")}
    until = time.monotonic() + 5
    while descendants() != before and time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):  # the copy of this process ends on its own
            os.waitpid(-1, os.WNOHANG)
    assert descendants() == before


def test_a_part_that_changed_its_process_does_not_change_other_rows(misbehaving):
    """It is played first, since its game is dealt otherwise."""
    meddler = replace(job("changes_numpy"), seed=1)
    (stage,) = meddler.stages
    meddler = replace(meddler, stages=(replace(stage, game_params={"rounds": 3}),))
    (clean,) = play([job("loss_threshold")], workers=0)
    _, mixed = play([meddler, job("loss_threshold")], workers=1)
    for name in ("guess", "truth"):
        arrays = [getattr(trials_from_bytes(result.content), name) for result in (clean, mixed)]
        assert arrays[0].tobytes() == arrays[1].tobytes()
    for name in ("bits", "metrics", "flags", "n"):
        assert mixed.row["row"][name] == clean.row["row"][name]


def test_an_interrupt_that_nobody_pressed_and_an_error_without_words_fail_their_rows(misbehaving):
    results = perform(["interrupts", "raises_unspeakable"], workers=0)
    assert results["interrupts"][0] == "failed"
    assert "Unspeakable: its message cannot be read" in results["raises_unspeakable"][1]


def test_a_swallowed_ctrl_c_still_ends_the_run(misbehaving, monkeypatch):
    from hartley.engine.run import player

    def swallow(*_args, **_more):
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), 2)
            time.sleep(5)
        raise ValueError("swallowed")

    monkeypatch.setattr(player, "play_rounds", swallow)
    with pytest.raises(KeyboardInterrupt):
        perform(["loss_threshold"], workers=0)


def test_limits_are_declared_and_not_part_of_a_run(tmp_path):
    text = 'scene = "live:membership"\n[executor]\ntime_limit = 7\nmemory_limit = 0.5\n'
    plan = parse(text)
    assert (plan.time_limit, plan.memory_limit) == (7.0, 0.5)
    assert normalised(plan) == normalised(replace(plan, time_limit=None, memory_limit=9.0))
    for key in ("time_limit", "memory_limit"):
        with pytest.raises(Exception, match=f"executor.{key} must be above 0, got 0"):
            parse(f"[executor]\n{key} = 0\n")


def test_a_row_that_hit_its_limit_is_played_again_with_a_higher_one(strangers, tmp_path):
    plan = Plan(
        scene="live:membership",
        only=("naps",),
        attacks={"naps": {"seconds": 1.0}},
        games={"membership": {"rounds": 2}},
        workers=1,
        time_limit=0.5,
    )
    document = assess(plan, store=tmp_path)
    (row,) = [row for row in document["channels"] if row["attack"] == "naps"]
    assert row["status"] == "failed" and "time limit of 0.5 s" in row["reason"]
    again = assess(replace(plan, time_limit=None, workers=0), store=tmp_path)
    (row,) = [row for row in again["channels"] if row["attack"] == "naps"]
    assert row["status"] == "measured" and again["id"] == document["id"]


@pytest.mark.parametrize("program", ["not/a/program", "/bin/false"])
def test_a_worker_that_cannot_start_ends_the_run(monkeypatch, program):
    monkeypatch.setattr(worker_process.sys, "executable", program)
    with pytest.raises(RunError, match="a worker process cannot be started: "):
        perform(["loss_threshold", "lira"])


def test_what_is_not_a_frame_is_noticed_at_once():
    token, other = new_token(), new_token()
    frame = pack(token, {"key": "one"}, b"content")
    pieces = Frames(token)
    assert [f for byte in frame for f in pieces.add(bytes([byte]))] == [
        ({"key": "one"}, b"content")
    ]
    for garbage in (b"{", pack(other, {}), frame[:-1] + b"x", frame[:16] + b"\xff" * 44 + frame):
        with pytest.raises(GarbledFrame):
            list(Frames(token).add(garbage))


def test_a_log_keeps_its_beginning_and_its_end(tmp_path):
    log = worker_process.Log(tmp_path / "logs" / "one.txt")
    log.add(b"first\n")
    for _ in range(40):
        log.add(b"x" * 99_999 + b"\n")
    log.add(b"last\n")
    log.close()
    text = (tmp_path / "logs" / "one.txt").read_text()
    assert text.startswith("first\n") and text.endswith("last\n") and "bytes left out" in text
    assert len(text) < 1_200_000 and log.cause() == " (last)"
    worker_process.Log(tmp_path / "empty.txt").close()
    assert not (tmp_path / "empty.txt").exists()


@pytest.mark.parametrize("verb", ["assess", "chain"])
@pytest.mark.parametrize("flag", ["--time-limit", "--memory-limit"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_a_limit_that_is_not_above_0_is_refused(verb, flag, value, capsys):
    attacks = ("mislabelled_copies", "lira") if verb == "chain" else ()
    assert run((verb, *attacks, "--scene", "digits", flag, value)) == 2
    assert f"{flag} must be a finite number above 0, got" in capsys.readouterr().err

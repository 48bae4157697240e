"""Workers: the same results whoever plays, and a death costs one job."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from hartley.core import Applied, Experiment, Knowledge, Stage
from hartley.engine.assess import assess
from hartley.engine.plan.plan import Plan
from hartley.engine.run import executor, threads
from hartley.store import read_trials, trials_from_bytes

FEW = {"membership": {"rounds": 3}}
BASE = Plan(scene="live:membership", games=FEW)


def job(attack, **params):
    stage = Stage(attack, params, "membership", {"rounds": 2})
    return Experiment("live:membership", stages=(stage,))


def perform(jobs, workers, **more):
    """Not isolated, so that it is the worker that a part ends."""
    results = {}
    executor.perform(
        jobs,
        workers=workers,
        isolate=False,
        started=lambda job: None,
        finished=lambda job, result: results.__setitem__(job.label, result),
        **more,
    )
    return results


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_results_do_not_depend_on_the_number_of_workers(tmp_path, strangers):
    plan = replace(BASE, only=("honest", "loss_threshold", "lira"), isolate=False)
    found = {}
    for workers in (0, 2):
        made = assess(replace(plan, workers=workers), store=tmp_path / str(workers))
        folder = tmp_path / str(workers) / made["id"] / "trials"
        found[workers] = {p.name: read_trials(p) for p in sorted(folder.iterdir())}
    assert len(found[0]) == 3 and found[2].keys() == found[0].keys()
    for name, trials in found[0].items():
        assert trials.guess.tobytes() == found[2][name].guess.tobytes(), name
        assert trials.truth.tobytes() == found[2][name].truth.tobytes(), name


def test_a_dead_worker_fails_its_job_and_no_other(strangers, tmp_path):
    names = ("dies", "segfaults", "leaves", "loss_threshold")
    results = perform([job(name) for name in names], 2, logs=tmp_path)
    assert set(results) == set(names)
    assert results["dies"].status == "failed"
    assert results["dies"].note["reason"].startswith("its worker process ended with exit code 7")
    reason = results["segfaults"].note["reason"]
    assert "SIGSEGV" in reason and "Segmentation fault" in reason
    assert "SystemExit" in results["leaves"].note["reason"]
    assert len(trials_from_bytes(results["loss_threshold"].content)) == 256


def test_what_a_part_prints_stays_out_of_the_way(strangers, tmp_path, capfd):
    for workers in (0, 2):
        results = perform([job("chatters")], workers, logs=tmp_path)
        assert results["chatters"].status == "done"
    assert capfd.readouterr().out == ""
    assert "from below Python" in "".join(p.read_text() for p in tmp_path.iterdir())


def test_no_worker_outlives_a_stop(strangers, tmp_path):
    mark = tmp_path / "began"
    jobs = [job("naps", seconds=60.0, mark=str(mark)), job("naps", seconds=60.1)]
    pids = []
    real = executor.worker_process.start

    def hire(*args):
        worker = real(*args)
        pids.append(worker.process.pid)
        return worker

    begun = []

    def stop(job):
        begun.append(job)
        if len(begun) == 2:
            until = time.monotonic() + 30
            while not mark.exists() and time.monotonic() < until:
                time.sleep(0.01)
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(executor.worker_process, "start", hire)
        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            executor.perform(jobs, workers=2, started=stop, finished=lambda job, result: None)
    assert time.monotonic() - began < 40 and len(pids) == 2 and mark.exists()
    assert not any(map(alive, pids))


def test_workers_have_one_thread_each(strangers, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    seen = {}
    real = executor.worker_process.subprocess.Popen

    def popen(*args, **kwargs):
        seen.update(kwargs["env"])
        return real(*args, **kwargs)

    monkeypatch.setattr(executor.worker_process.subprocess, "Popen", popen)
    perform([job("loss_threshold")], 1)
    assert all(seen[name] == "1" for name in threads.THREADS)


def test_the_key_of_an_experiment_is_its_work_and_its_id_what_it_is():
    one = job("honest", noise=0.0)
    assert one.key == replace(one).key
    (stage,) = one.stages
    behind = (Applied("rounding", {"digits": 1}),)
    for other in (
        replace(one, stages=(replace(stage, params={"noise": 0.1}),)),
        replace(one, stages=(replace(stage, game_params={}),)),
        replace(one, defenses=behind, knowledge=Knowledge.STATIC),
        replace(one, replicate=1),
    ):
        assert other.key != one.key and other.id != one.id
    for again in (replace(one, seed=1), replace(one, code="x"), replace(one, budget=9)):
        assert again.key != one.key and again.id == one.id
    assert "/" not in one.key and one.key.startswith("honest-")
    assert Experiment.load(one.dump()) == one

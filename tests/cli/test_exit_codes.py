"""The real command in a process of its own: exit codes, one line an error, clean JSON."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STRANGERS = Path(__file__).parent.parent / "strangers"
PLAY = ("assess", "--scene", "live:membership", "--workers", "0")


ENOUGH = '\n[limits.least]\nattacks = ["lira", "loss_threshold"]'
"""The run below plays a few attacks of many."""


def limits(folder, text):
    path = folder / "limits.toml"
    path.write_text(f"[limits]\n{text}\n")
    return str(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run on the live wire, where loss_threshold certifies about 0.6 bit of 1."""
    folder = tmp_path_factory.mktemp("made")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "hartley.cli.main", *PLAY),
            *("--only", "loss_threshold", "--only", "crashes", "--run", "one"),
            *("--only", "lira", "--json"),
        ],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(STRANGERS), os.environ.get("PYTHONPATH")])
            ),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    document = json.loads(done.stdout)
    (row,) = [r for r in document["channels"] if r["attack"] == "crashes"]
    assert row["status"] == "failed"
    document["channels"].remove(row)
    path = folder / "clean.json"
    path.write_text(json.dumps(document))
    return folder, path, document


@pytest.mark.parametrize(
    ("text", "code", "word"),
    [
        ("membership = 1.0" + ENOUGH, 0, "pass"),
        ("membership = 1.0", 3, "membership: the plan leaves out "),
        ("membership = 0.01", 1, "at the level of all 2 checks"),
        ('"attack:lira" = 0.01', 1, "over"),
        ('"axis:model_to_data" = 1' + ENOUGH, 0, "pass"),
        ("membership = 0.9", 3, "inconclusive"),
        ("inversion = 1", 3, "nothing was measured"),
        ('"attack:compression" = 1', 3, "has no carriers"),
        ('"membership.auc" = 1.0' + ENOUGH, 3, "no run can break any of these limits"),
        ('"membership.auc" = 1.0\n"membership.blind_auc" = 0.9' + ENOUGH, 0, "pass"),
        ('"attack:lira.auc" = 0.5', 1, "over the limit"),
        ('"membership.epsilon_delta" = 5.0', 3, "no upper end"),
    ],
)
def test_the_gate_answers_by_its_exit_code(call, run, tmp_path, text, code, word):
    _, path, _ = run
    words = ("gate", str(path), "--accept-unverified", "--limits", limits(tmp_path, text))
    done = call(*words)
    assert (done.returncode, word in done.stdout) == (code, True), done
    again = call(*words, "--json")
    assert again.returncode == code
    assert json.loads(again.stdout)["status"] == {0: "pass", 1: "over", 3: "inconclusive"}[code]


@pytest.mark.parametrize(
    ("metric", "words"),
    [
        ("tpr", "'tpr'; did you mean tpr_at_fpr_1e2 or tpr_at_fpr_1e3?"),
        ("aucc", "did you mean auc"),
        ("speed", "'speed'; it has: advantage, auc, "),
    ],
)
def test_a_limit_on_a_metric_that_no_row_has_is_bad_input(call, run, tmp_path, metric, words):
    _, path, _ = run
    done = call("gate", str(path), "--limits", limits(tmp_path, f'"membership.{metric}" = 0.5'))
    assert done.returncode == 2 and not done.stdout and words in done.stderr, done
    assert "membership has no metric named" in done.stderr


def test_a_failed_row_is_inconclusive_even_when_the_limit_is_kept(call, run, tmp_path):
    folder, _, _ = run
    done = call(
        "gate",
        "one",
        "--store",
        str(folder / "runs"),
        "--limits",
        limits(tmp_path, "membership = 1.0"),
    )
    assert done.returncode == 3 and "crashes failed: ValueError" in done.stdout


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "hartley.run/3"}, "got 'hartley.run/3'"),
        ({"schema": None}, "must have 'schema'"),
        ({"channels": 3}, "'channels' has the wrong type"),
    ],
)
def test_the_gate_refuses_a_document_it_cannot_read(call, run, tmp_path, change, words):
    _, _, document = run
    path = tmp_path / "other.json"
    path.write_text(json.dumps(document | change))
    done = call("gate", str(path), "--limits", limits(tmp_path, "membership = 1.0"))
    assert done.returncode == 2 and words in done.stderr and done.stdout == ""


def test_the_gate_refuses_a_plan_for_another_scene_or_without_limits(call, run, tmp_path):
    _, path, _ = run
    other = tmp_path / "other.toml"
    other.write_text('scene = "digits"\n[limits]\nmembership = 1')
    done = call("gate", str(path), "--limits", str(other))
    assert done.returncode == 2 and "is for the scene 'digits'" in done.stderr
    other.write_text("seed = 1")
    done = call("gate", str(path), "--limits", str(other))
    assert done.returncode == 2 and "must have a table [limits]" in done.stderr


def test_a_store_that_cannot_be_written(hartley, tmp_path):
    (tmp_path / "runs").write_text("a file")
    done = hartley(*PLAY, "--only", "honest")
    assert done.returncode == 2 and "choose a writable folder with --store" in done.stderr
    assert done.stdout == "" and "Traceback" not in done.stderr


def test_a_full_disk_for_real(hartley, call, tmp_path):
    """The system refuses to let a file grow: one line, exit 2, and the same command goes on."""

    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, 12_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    words = (*PLAY, "--only", "honest", "--only", "loss_threshold", "--run", "one", "--json")
    done = hartley(*words, preexec_fn=small, env={"PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 2, done
    assert "no space left" in done.stderr.splitlines()[-1] and done.stdout == ""
    assert not list((tmp_path / "runs").rglob("*.partial"))
    again = call(*words)
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["id"] == "one"


def test_a_crash_exits_3_and_json_stays_clean(hartley):
    done = hartley(*PLAY, "--only", "crashes", "--only", "chatters", "--json")
    assert done.returncode == 3
    rows = {r["attack"]: r for r in json.loads(done.stdout)["channels"]}
    assert rows["crashes"]["status"] == "failed" and rows["chatters"]["status"] == "measured"
    assert "on purpose" in rows["crashes"]["reason"]


def test_over_its_own_limit_exits_1(call, tmp_path):
    (tmp_path / "plan.toml").write_text(
        'scene = "live:membership"\nonly = ["honest"]\n[limits]\nmembership = 0.1\n'
        '[limits.least]\nattacks = ["honest"]\n'
        "[executor]\nworkers = 0\n"
    )
    done = call("assess", "plan.toml")
    assert done.returncode == 1 and "verdict: over" in done.stdout
    (tmp_path / "plan.toml").write_text((tmp_path / "plan.toml").read_text().replace("0.1", "1.0"))
    done = call("assess", "plan.toml")
    assert done.returncode == 0 and "verdict: pass" in done.stdout


def test_a_changed_plan_on_a_run_says_what_changed(call, tmp_path):
    words = (*PLAY, "--only", "honest", "--run", "mine")
    assert call(*words).returncode == 0
    done = call(*words, "--seed", "4")
    assert done.returncode == 2 and "seed: 0 → 4" in done.stderr


def naps(tmp_path, seconds):
    plan = tmp_path / "naps.toml"
    plan.write_text(
        'scene = "live:membership"\nonly = ["honest", "loss_threshold", "naps"]\n'
        f"[attacks.naps]\nseconds = {seconds}\n[games.membership]\nrounds = 2\n"
    )
    return plan


def start(tmp_path, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "hartley.cli.main", *words],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(
                filter(None, [str(STRANGERS), os.environ.get("PYTHONPATH")])
            ),
        },
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts what it puts in the background deaf to Ctrl-C; a terminal does not.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    )


def wait_for(tmp_path, done):
    until = time.monotonic() + 60
    while time.monotonic() < until:
        found = list((tmp_path / "runs").glob("*/journal.jsonl"))
        if found and found[0].read_text().count('"event": "done"') >= done:
            return found[0].parent
        time.sleep(0.02)
    raise AssertionError("the run never got that far")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_kill_9_loses_at_most_the_job_in_flight(call, tmp_path, workers):
    naps(tmp_path, 30.0)
    words = ("assess", "naps.toml", "--workers", workers)
    victim = start(tmp_path, *words)
    folder = wait_for(tmp_path, 2)
    victim.kill()
    victim.communicate()
    kept = sorted(p.name for p in (folder / "trials").glob("*.parquet"))
    assert len(kept) >= 2 and not (folder / "run.json").exists()
    naps(tmp_path, 0.01)
    changed = call(*words)
    assert changed.returncode == 2 and "attacks.naps.seconds: 30.0 → 0.01" in changed.stderr
    assert "--fresh" in changed.stderr
    stamps = {name: (folder / "trials" / name).stat().st_mtime_ns for name in kept}
    naps(tmp_path, 30.0)
    # the same command goes on: only the nap is played, so it is sent to sleep for good again
    again = start(tmp_path, *words)
    time.sleep(0.5)
    line = ""
    assert again.stderr is not None
    for line in again.stderr:
        if line.startswith("run "):
            break
    again.kill()
    again.communicate()
    assert "3 jobs, 2 of them already done" in line
    assert stamps == {name: (folder / "trials" / name).stat().st_mtime_ns for name in kept}


def test_a_killed_run_ends_as_if_it_had_not_been(call, tmp_path):
    naps(tmp_path, 0.6)
    victim = start(tmp_path, "assess", "naps.toml", "--workers", "0")
    wait_for(tmp_path, 2)
    victim.kill()
    victim.communicate()
    one = call("assess", "naps.toml", "--workers", "0", "--json")
    two = call("assess", "naps.toml", "--workers", "0", "--json", "--store", "whole")
    bits = [
        {r["attack"]: r.get("bits") for r in json.loads(done.stdout)["channels"]}
        for done in (one, two)
    ]
    assert one.returncode == two.returncode == 0 and bits[0] == bits[1]
    assert bits[0]["naps"]["low"] > 0


@pytest.mark.parametrize("workers", ["0", "2"])
def test_ctrl_c_is_one_line_and_130(tmp_path, workers):
    naps(tmp_path, 60.0)
    victim = start(tmp_path, "assess", "naps.toml", "--workers", workers)
    wait_for(tmp_path, 2)
    time.sleep(0.2)
    victim.send_signal(signal.SIGINT)
    out, err = victim.communicate(timeout=30)
    assert victim.returncode == 130 and out == "", err
    last = err.strip().splitlines()[-1]
    assert last.startswith("hartley: stopped: 2 of 3 jobs are kept in ")
    assert last.endswith("the same command continues from there") and "Traceback" not in err

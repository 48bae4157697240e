"""Workers that are forked of one process: what they share, what they do not, and when none is."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hartley.engine.run import fork_server, processes, worker_process
from hartley.store import read_trials

linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no worker is forked")

RECIPE = """
import os, subprocess, sys, threading, time
from dataclasses import replace
from pathlib import Path
from hartley import catalog
from hartley.engine import build_scene

def scene():
    here = Path(__file__).parent
    with (here / "built").open("a") as file:
        print(os.getpid(), file=file)
    {more}
    return replace(build_scene.build("live:membership"), name="mine")
"""
THREAD = "threading.Thread(target=time.sleep, args=(60,), daemon=True, name='Idle').start()"
STRANGERS = Path(__file__).parents[1] / "strangers"


def hartley(folder, *words, more="pass"):
    (folder / "audit.py").write_text(RECIPE.format(more=more))
    path = os.pathsep.join([str(STRANGERS), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-m", "hartley.cli.main", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )


def played(folder):
    """Guesses by attack."""
    return {
        path.name.partition("-")[0]: read_trials(path).guess.tobytes()
        for path in folder.glob("runs/*/trials/*")
    }


WORDS = ("assess", "audit.py:scene", "--only", "loss_threshold", "--only", "rmia", "-v")


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forked")
    return folder, hartley(folder, *WORDS, "--workers", "2")


@linux
def test_a_scene_is_built_once_whatever_the_number_of_workers(forked):
    folder, run = forked
    assert run.returncode == 0 and "instead of being forked" not in run.stderr, run.stderr
    assert len((folder / "built").read_text().split()) == 1
    assert set(played(folder)) == {"loss_threshold", "rmia"}


@linux
def test_workers_are_forked_also_where_a_shell_has_closed_standard_streams(tmp_path):
    """The free numbers 0 and 1 must not become those of pipes."""
    (tmp_path / "audit.py").write_text(RECIPE.format(more="pass"))
    words = ("-m", "hartley.cli.main", "assess", "audit.py:scene", "--only", "loss_threshold")
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&-', "sh", sys.executable, *words, "--workers", "1", "-v"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and "instead of being forked" not in done.stderr, done.stderr
    assert len((tmp_path / "built").read_text().split()) == 1
    assert set(played(tmp_path)) == {"loss_threshold"}


@linux
def test_with_a_thread_alive_workers_are_started_anew_to_the_same_results(forked, tmp_path):
    run = hartley(tmp_path, *WORDS, "--workers", "1", more=THREAD)
    reason = "workers are started one by one instead of being forked: another thread is alive: Idle"
    assert run.returncode == 0 and reason in run.stderr, run.stderr
    assert len((tmp_path / "built").read_text().split()) == 2  # the command's and the worker's
    assert played(tmp_path) == played(forked[0])


OBSTACLES = """
import os, subprocess, sys
from pathlib import Path
from hartley.engine.run import fork_server

def say(before):
    print(fork_server.obstacle(before))

with fork_server.serving(("none", None, {}), fork_server.holdings()) as server:
    print(server)  # a program that calls Hartley is not copied
say(fork_server.holdings())
before = fork_server.holdings()
file = open("weights", "w")
say(before)
before = fork_server.holdings()
child = subprocess.Popen(["sleep", "60"])
say(before)
child.kill()
child.wait()
say(before)
class cuda:
    is_initialized = lambda: True
class xpu:
    is_initialized = lambda: False
sys.modules["torch"] = type("torch", (), {"cuda": cuda, "xpu": xpu})
say(before)
del sys.modules["torch"]
real = fork_server.holdings
asked = real().descriptors | {("9", "/dev/nvidiactl")}  # before the scene was built
fork_server.holdings = lambda: fork_server.Holdings(asked, frozenset())
say(fork_server.holdings())
fork_server.holdings = real
import strangers.attacks
say(before)
"""


@linux
def test_what_a_fork_would_share_wrongly_is_an_obstacle(tmp_path):
    path = os.pathsep.join([str(STRANGERS), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", OBSTACLES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    program, none, file, child, again, cuda, driver, plugin = done.stdout.splitlines()
    assert program == "None"
    assert none == again == ""
    assert file == f"the scene holds what its copies would share: {tmp_path.resolve() / 'weights'}"
    assert (child, cuda) == ("the scene has started a process", "the scene uses cuda")
    assert driver == "the driver of a device is open: /dev/nvidiactl"
    assert plugin.startswith("parts of plugins are imported: ") and "chatters" in plugin


def test_families_are_what_descends_from_their_leaders():
    with subprocess.Popen(
        ["sh", "-c", "sleep 60 & sleep 60 & echo; wait"], stdout=subprocess.PIPE
    ) as leader:
        assert leader.stdout is not None
        leader.stdout.readline()
        family = processes.families([leader.pid])
        expected = processes.belonging(leader.pid, processes.process_table())
        processes.end(leader.pid)
    assert set(family) == expected or sys.platform != "linux"
    assert len(expected) == 3 or sys.platform != "linux"


PROGRAM = """
import json, os, random, signal, sys, time
from hartley.engine.run.threads import one_thread
one_thread()
import numpy as np, torch
from hartley.core import Experiment, Stage
from hartley.engine import build_scene
from hartley.engine.run import executor, fork_server, player, processes
from hartley.engine.run.own_process import forbid_play

forbid_play()
command, built = os.getpid(), build_scene.build("live:membership")

def seen_from_inside(self, experiment):
    way = experiment.stages[-1].params["way"]
    if way == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "leaves a daemon":
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                time.sleep(60)
            os._exit(0)
        os.wait()
        time.sleep(0.3)  # its child has moved to this process
        os._exit(7)
    pid, mark, table = os.getpid(), os.environ[processes.MARK], processes.process_table()
    signals = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD]
    return player.Result("done", {
        "pid": pid, "parent": table[pid].parent, "leads": table[pid].session == pid,
        "mark": mark, "marked": processes._marked(pid, mark), "home": os.environ["HOME"],
        "signals": [n for n in signals if signal.getsignal(n) is not signal.SIG_DFL],
        "files": [str(link.readlink()) for link in fork_server._OPEN.iterdir() if link.exists()],
        "scene": self._scene(experiment) is built,
        "draws": [random.random(), np.random.random()], "torch": torch.rand(1).item(),
    })

player.Player.run = seen_from_inside
signal.signal(signal.SIGTERM, lambda *_: None)
secret = open("secret", "w")
fresh = torch.Generator().get_state()
torch.rand(3)
expected = torch.rand(1, generator=torch.Generator()).item()

def job(way, rounds=2):
    stage = Stage("lira", {"way": way}, "membership", {"rounds": rounds})
    return Experiment("live:membership", stages=(stage,))

results = []
with fork_server.serving(("live:membership", built, {}), fork_server.holdings()) as server:
    executor.perform(
        [job("looks", 2), job("killed"), job("leaves a daemon"), job("looks", 3), job("looks", 4)],
        workers=2, server=server, started=lambda job: None,
        finished=lambda job, result: results.append([result.status, dict(result.note)]),
    )
    threads = len(list((processes.PROC / str(server.pid) / "task").iterdir()))
with open("begins_a_thread.py", "w") as file:
    file.write("import threading, time; threading.Thread(target=time.sleep, args=(60,)).start()")
server = fork_server.start(("live:membership", built, {}))
server.preload(["begins_a_thread"])
refused = server.fork(0, 0, 0, "mark") is None
server.close()
server.close()
left = [pid for pid, p in processes.process_table().items()
        if p.state != "Z" and processes.descends(pid, command, processes.process_table())]
print(json.dumps({
    "command": command, "results": results, "left": left, "expected": expected, "threads": threads,
    "refused": refused,
}))
"""


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    """What workers see of themselves, in a program that may fork them."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("inside")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def views(inside):
    return [note for status, note in inside["results"] if status == "done"]


@linux
def test_a_forked_worker_is_a_child_of_the_command_and_holds_its_scene(inside, views):
    assert len(views) == 3 and all(view["scene"] for view in views)
    for view in views:
        assert view["parent"] == inside["command"] and view["leads"] and view["marked"]
    assert len({view["mark"] for view in views}) == len({view["pid"] for view in views})
    assert inside["threads"] == 1


@linux
def test_a_forked_worker_has_no_descriptor_signal_or_random_state_of_the_command(inside, views):
    for view in views:
        assert view["signals"] == [2] and view["home"] == os.environ["HOME"]
        assert {file.partition(":")[0] for file in view["files"]} == {"pipe", "/dev/null"}
    by_process = {view["pid"]: view for view in views}
    for library in (0, 1):
        draws = [view["draws"][library] for view in by_process.values()]
        assert len(set(draws)) == len(draws)
    first = {view["pid"]: view["torch"] for view in reversed(views)}
    assert set(first.values()) == {inside["expected"]}


@linux
def test_a_server_with_a_second_thread_forks_nothing(inside):
    assert inside["refused"]


@linux
def test_a_forked_worker_that_dies_costs_its_row_and_leaves_nothing(inside):
    reasons = sorted(note["reason"] for status, note in inside["results"] if status == "failed")
    assert reasons == [
        "its worker process ended with exit code 7",
        "its worker process was killed by SIGKILL",
    ]
    assert inside["left"] == []


@linux
def test_a_server_that_does_not_answer_leaves_no_worker_on_the_pipes_of_another(monkeypatch):
    def fresh(jobs, results, prints, mark):
        return subprocess.Popen(["sleep", "60"], pass_fds=(jobs,), start_new_session=True)

    monkeypatch.setattr(worker_process, "_fresh", fresh)
    command_end, server_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command_end.settimeout(0.01)
    silent = subprocess.Popen(["sleep", "60"])
    server = fork_server.ForkServer(silent.pid, command_end)
    worker = worker_process.start(0, None, None, server=server)
    _, (jobs, results, prints), *_ = socket.recv_fds(server_end, 1 << 16, 3)
    assert os.read(jobs, 1) == b"", "what the server has forked meanwhile gets no note"
    for descriptor in (jobs, results, prints):
        os.close(descriptor)
    server_end.close()
    worker.dismiss()
    assert silent.wait() is not None


@linux
def test_where_the_system_lists_no_open_files_nothing_is_forked(monkeypatch, tmp_path):
    monkeypatch.setattr(fork_server, "_OPEN", tmp_path / "none")
    reasons = list(fork_server._obstacles(fork_server.holdings()))
    assert "the system does not say what files are open" in reasons

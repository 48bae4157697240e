"""Ray: the rows of this machine's workers, and what is lost costs no row.

A real cluster of one machine, with an address on the loopback, that the tests start and end.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from hartley import __version__
from hartley.core import Experiment, Stage
from hartley.core.errors import RunError, UsageError
from hartley.engine.assess import assess
from hartley.engine.plan.plan import Plan, parse
from hartley.engine.plan.worklist import code_of
from hartley.engine.run import executor, processes, ray_bridge, ray_executor, ray_seat
from hartley.engine.run.ray_executor import Cluster, perform_on_ray
from hartley.store import trials_from_bytes

pytestmark = pytest.mark.ray
needs_ray = pytest.mark.skipif(
    find_spec("ray") is None, reason="Ray is not installed: pip install 'hartley[ray]'"
)
CLOCK = ("seconds", "shared_seconds", "rate_bits_per_s", "cost")
SEAT, WORKER = "ray::Seat", "hartley.engine.run.worker"
HEAD = """
import sys, ray
ray.init(address="local", num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.2",
         _temp_dir=sys.argv[1], object_store_memory=100 << 20, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def head():
    """The address of a cluster with two processors, and the process that has started it."""
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    quiet = {
        **token,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_enable_worker_prestart": "0",
        "RAY_raylet_start_wait_time_s": "90",
    }
    with tempfile.TemporaryDirectory(prefix="hry-", ignore_cleanup_errors=True) as scratch:
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD, scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **quiet},
            text=True,
            start_new_session=True,
        )
        address = process.stdout.readline().strip()
        assert address, "the cluster did not start"
        with pytest.MonkeyPatch.context() as patch:
            for name, value in token.items():
                patch.setenv(name, value)
            yield address, process.pid
        processes.end(process.pid)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            pipe.close()


def job(attack, rounds=2, **params):
    stage = Stage(attack, params, "membership", {"rounds": rounds})
    return Experiment("live:membership", stages=(stage,))


def on_ray(jobs, address, folder, workers, started=lambda job: None, **more):
    results = {}
    perform_on_ray(
        jobs,
        cluster=Cluster(address, str(folder)),
        workers=workers,
        isolate=False,
        started=started,
        finished=lambda job, result: results.__setitem__(job.label, result),
        **more,
    )
    return results


def here(jobs):
    results = {}
    executor.perform(
        jobs,
        workers=0,
        isolate=False,
        started=lambda job: None,
        finished=lambda job, result: results.__setitem__(job.label, result),
    )
    return results


def numbers(result):
    """What does not depend on the clock: the trials, and the whole measured row."""
    trials = trials_from_bytes(result.content)
    arrays = [np.asarray(a).tobytes() for a in (trials.truth, trials.guess, trials.reference)]
    return arrays, trials.run_id, without_clock(result.row)


def without_clock(value):
    if isinstance(value, dict):
        return {k: without_clock(v) for k, v in value.items() if k not in CLOCK}
    return [without_clock(v) for v in value] if isinstance(value, list | tuple) else value


def family(pid, words):
    """The ids of what a process has started, whose command holds these words."""
    found = []
    for one in processes.families([pid]):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{one}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            if words in command:
                found.append(one)
    return found


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)
    return value


@needs_ray
def test_rows_are_those_of_this_machine_and_neither_a_fault_nor_a_stop_costs_more(
    head, strangers, tmp_path
):
    """One run on two workers: rows, an exception, a time limit, then a Ctrl-C."""
    played = [job("honest", noise=0.5), job("loss_threshold")]
    faulty = [job("crashes"), job("naps", seconds=600.0), job("chatters")]
    last = job("naps", seconds=601.0)
    found = {}

    def finished(one, result):
        found[one.label] = result
        if len(found) == 5:
            assert begun[-1] == last.key and family(head[1], SEAT)
            raise KeyboardInterrupt

    begun = []
    with pytest.raises(KeyboardInterrupt):
        perform_on_ray(
            [*played, *faulty, last],
            cluster=Cluster(head[0], str(strangers)),
            workers=2,
            isolate=False,
            logs=tmp_path,
            limits=executor.Limits(seconds=20.0),
            started=lambda one: begun.append(one.key),
            finished=finished,
        )
    assert not family(os.getpid(), "ray_bridge")
    wait_for(lambda: not family(head[1], SEAT) and not family(head[1], WORKER))
    for label, result in here(played).items():
        assert numbers(found[label]) == numbers(result), label
    assert "on purpose" in found["crashes"].note["reason"]
    assert "longer than the time limit of 20 s" in found["naps"].note["reason"]
    assert found["chatters"].status == "done"
    printed = [path.read_text() for path in tmp_path.glob("ray-*.txt")]
    assert "from below Python" in "".join(printed)


@pytest.mark.slow
@needs_ray
def test_a_killed_worker_costs_no_row(head, strangers, tmp_path):
    """Kill −9 of the worker process, then of the actor that holds it: played again each time."""
    mark = tmp_path / "began"
    jobs = [job("naps", seconds=2.0, mark=str(mark))]
    killed = []

    def kill():
        for words in (WORKER, SEAT):
            wait_for(mark.exists)
            (pid,) = family(head[1], words)
            mark.unlink()
            os.kill(pid, signal.SIGKILL)
            killed.append(words)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    begun = []
    found = on_ray(jobs, head[0], strangers, 1, lambda job: begun.append(job.label), logs=tmp_path)
    killer.join(5)
    assert killed == [WORKER, SEAT] and begun == ["naps"] * 3
    mark.unlink()
    quick = here([job("naps", seconds=0.0, mark=str(mark))])
    assert found["naps"].status == "done"
    (one, two) = (trials_from_bytes(r["naps"].content) for r in (found, quick))
    assert one.guess.tobytes() == two.guess.tobytes()
    assert "played again" in (tmp_path / "ray.txt").read_text()


@pytest.mark.slow
@needs_ray
def test_a_lost_head_ends_the_run_and_it_goes_on_here(head, strangers, tmp_path):
    """The last test on the cluster, which it ends."""
    mark, pause = tmp_path / "began", tmp_path / "pause"
    pause.touch()
    plan = Plan(
        scene="live:membership",
        only=("honest", "naps"),
        games={"membership": {"rounds": 2}},
        attacks={"naps": {"mark": str(mark), "pause": str(pause)}},
        isolate=False,
        workers=1,
    )
    far = replace(plan, executor="ray", address=head[0], shipped_code=str(strangers))

    def kill():
        wait_for(mark.exists)
        pids = family(head[1], "raylet/raylet")
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill, daemon=True).start()
    began = time.monotonic()
    with pytest.raises(RunError, match=r"Ray cluster at .* cannot be used: .*--executor local"):
        assess(far, store=tmp_path / "runs")
    assert time.monotonic() - began < 200
    (folder,) = [path for path in (tmp_path / "runs").iterdir() if path.is_dir()]
    kept = {path.name: path.read_bytes() for path in (folder / "trials").iterdir()}
    assert len(kept) == 1
    pause.unlink()
    finished_run = assess(plan, store=tmp_path / "runs")
    assert finished_run["id"] == folder.name
    rows = [row for row in finished_run["channels"] if row["attack"] in plan.only]
    assert [row["status"] for row in rows] == ["measured", "measured"]
    for name, content in kept.items():
        assert (folder / "trials" / name).read_bytes() == content


def test_errors_of_ray_are_one_line_that_says_why():
    versions = (
        "Version mismatch: The cluster was started with:\n    Ray: 2.40.0\n    Python: 3.9.1\n"
    )
    made = (
        "The actor died because of an error raised in its creation task, ray::Seat.__init__()\n"
        "RuntimeError: The actor with name Seat failed to import\n  File 'x'\n"
        "ModuleNotFoundError: No module named 'hartley'"
    )
    for text, line in {
        versions: "cluster was started with: Ray: 2.40.0 Python: 3.9.1",
        made: "ModuleNotFoundError: No module named 'hartley'",
        "The head is gone.\nMore.": "The head is gone.",
        "": "RuntimeError",
    }.items():
        assert ray_bridge._one_line(RuntimeError(text)).endswith(line)


def test_another_hartley_there_says_so_before_a_job_is_read():
    seat = object.__new__(ray_seat.Seat)
    seat._order = {"version": "0.0"}
    with pytest.raises(RunError, match=r"and the command is 0\.0; install the same"):
        seat.begin()


def test_a_command_that_was_stopped_reads_what_has_arrived(monkeypatch):
    """A pipe with a frame in it is read, however long ago the last one was."""
    bridge = object.__new__(ray_executor._Bridge)
    token = ray_executor.new_token()
    read, write = os.pipe()
    bridge._results, bridge._frames = read, ray_executor.Frames(token)
    bridge._silent = bridge._connected = False
    monkeypatch.setattr(ray_executor, "_CONNECTING", 0.02)
    monkeypatch.setattr(ray_executor, "_SILENCE", 0.02)
    monkeypatch.setattr(ray_executor, "_TICK", 0.01)
    os.write(write, ray_executor.pack(token, {"alive": True}))
    notes = bridge.notes()
    assert next(notes)[0] == {"alive": True}
    time.sleep(0.1)  # the command was stopped: no wait in vain
    os.write(write, ray_executor.pack(token, {"alive": True}))
    assert next(notes)[0] == {"alive": True}
    assert list(notes) == [] and bridge.cause() == "it does not answer any more"
    os.close(read)
    os.close(write)


def test_another_program_at_the_address_is_one_line():
    """Ray would wait for three minutes."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer():
            taken, _ = other.accept()
            with taken:
                taken.recv(100)
                taken.sendall(b"HTTP/1.1 400 Bad request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ray_executor, "find_spec", lambda _name: object())
            with pytest.raises(UsageError, match="what listens there is another program"):
                ray_executor.check(Cluster(address))
        thread.join()


def test_what_is_missing_is_one_line(call, monkeypatch):
    words = ("assess", "--scene", "live:membership", "--executor", "ray")
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        monkeypatch.setattr(ray_executor, "find_spec", lambda _name: object())
        cases = {
            f"127.0.0.1:{port}": f"no Ray cluster answers at 127.0.0.1:{port}",
            "ray://far:1": "executor.address must be local, auto or HOST:PORT",
        }
        for address, message in cases.items():
            done = call(*words, "--address", address)
            assert done.returncode == 2 and message in done.stderr
            assert done.stderr.strip().count("\n") == 0
    monkeypatch.setattr(ray_executor, "find_spec", lambda _name: None)
    done = call(*words)
    assert done.returncode == 2 and done.stderr.strip().count("\n") == 0
    assert "ray is not installed; try: pip install 'hartley[ray]'" in done.stderr
    done = call("assess", "--scene", "live:membership", "--address", "auto")
    assert done.returncode == 2 and "--address must go with --executor ray" in done.stderr


def test_a_plan_names_its_cluster():
    plan = parse('scene = "digits"\n[executor]\nkind = "ray"\naddress = "auto"\ncode = "mine"\n')
    assert (plan.executor, plan.address, plan.shipped_code) == ("ray", "auto", "mine")
    for text, message in {
        'kind = "rai"': "executor.kind must be local or ray",
        'address = "auto"': 'executor.address must go with kind = "ray"',
    }.items():
        with pytest.raises(Exception, match=message):
            parse(f'scene = "digits"\n[executor]\n{text}\n')


def test_a_machine_with_other_code_or_files_plays_nothing(tmp_path):
    records = tmp_path / "records.csv"
    records.write_text("a,b\n1,2\n")
    params = {"records": str(records), "target": "b"}
    plain = replace(job("loss_threshold"), scene="digits")
    one = replace(plain, code=code_of(plain))
    assert ray_seat.unlike(one, [], __version__) == ""
    assert "install the same" in ray_seat.unlike(one, [], "0.0")
    assert "with other code" in ray_seat.unlike(replace(one, code="ab numpy 1"), [], __version__)
    on_files = replace(plain, scene_params=params)
    files = ray_seat.files_of_scene("digits", params)
    assert ray_seat.unlike(on_files, files, __version__) == ""
    records.write_text("a,b\n1,3\n")
    assert "other files" in ray_seat.unlike(on_files, files, __version__, here="m")

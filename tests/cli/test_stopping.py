"""What stops a command: one line, the exit code of what stopped it, and no process that stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hartley.engine.run import processes

ROOT = Path(__file__).parent.parent
NAPS = 'scene = "live:membership"\nonly = ["naps"]\n[attacks.naps]\nseconds = 60\n'


@pytest.fixture
def command(tmp_path):
    """Start the real command with the parts of both test plugins; its processes end with it."""
    started = []

    def start(*words):
        path = [
            str(ROOT / "strangers"),
            str(ROOT / "misbehaving"),
            os.environ.get("PYTHONPATH", ""),
        ]
        process = subprocess.Popen(
            [sys.executable, "-m", "hartley.cli.main", *words],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "STOPPING": str(tmp_path)},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell starts what it puts in the background deaf to Ctrl-C; a terminal does not.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def processes_in(folder):
    """Processes that were started with this folder in their environment."""
    mark = f"STOPPING={folder}\0".encode()
    found = set()
    for pid, process in processes.process_table().items():
        try:
            environment = (Path("/proc") / str(pid) / "environ").read_bytes()
        except OSError:
            continue
        if mark in environment and process.state != "Z":
            found.add(pid)
    return found


def wait_until(condition):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, "it never got that far"
        time.sleep(0.02)


def playing(tmp_path):
    return lambda: list(tmp_path.glob("runs/*/journal.jsonl")) and len(processes_in(tmp_path)) >= 3


def test_what_ends_a_session_stops_a_run_like_ctrl_c(command, tmp_path):
    (tmp_path / "naps.toml").write_text(NAPS)
    run = command("assess", "naps.toml", "--workers", "1")
    wait_until(playing(tmp_path))
    run.send_signal(signal.SIGTERM)
    out, err = run.communicate(timeout=30)
    assert run.returncode == 128 + signal.SIGTERM and out == ""
    last = err.strip().splitlines()[-1]
    assert last.startswith("hartley: stopped: 0 of 1 jobs are kept in "), err
    assert "Traceback" not in err and not processes_in(tmp_path)


def test_a_second_ctrl_c_ends_a_recipe_that_swallows_the_first(command, tmp_path):
    run = command("assess", "--scene", "never_ends", "--workers", "1")
    assert run.stderr is not None
    assert "building the scene never_ends" in run.stderr.readline()
    time.sleep(0.3)
    run.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    assert run.poll() is None
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=10)
    assert run.returncode == 128 + signal.SIGHUP and out == "" and "Traceback" not in err
    assert err.strip().endswith("what was kept stays, and the same command goes on from there")
    assert not processes_in(tmp_path)


def test_a_second_ctrl_c_while_a_run_stops_leaves_nothing(command, tmp_path):
    (tmp_path / "naps.toml").write_text(NAPS)
    run = command("assess", "naps.toml", "--workers", "1")
    wait_until(playing(tmp_path))
    for _ in range(6):
        run.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, err = run.communicate(timeout=30)
    assert run.returncode == 130 and "Traceback" not in err, err
    assert not processes_in(tmp_path)


@pytest.mark.parametrize(
    ("scene", "reason"),
    [
        ("leaves_below_python", "it ended with exit code 0"),
        ("is_killed", "it was killed by SIGKILL"),
    ],
)
def test_a_recipe_that_ends_the_program_below_python_does_not_pass(command, scene, reason):
    run = command("assess", "--scene", scene, "--workers", "0")
    out, err = run.communicate(timeout=60)
    assert run.returncode == 3 and out == ""
    line = "hartley: a part ended the program before its verdict: "
    assert err.strip().splitlines()[-1] == line + reason


ENDINGS = {
    "os.abort": "it was killed by SIGABRT",
    "ctypes.CDLL(None)._exit": "it ended with exit code 0",
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_file_that_ends_the_library_which_reads_it_is_bad_input(tmp_path, ending):
    """Some damaged Parquet files do: here the reader is made to."""
    (tmp_path / "t.csv").write_text("truth,score\n0,1\n1,2\n")
    program = (
        "import ctypes, os, sys",
        "from hartley.cli.main import main",
        "from hartley.importers import measured",
        f"measured.imported = lambda *_: {ending}({'0' if 'exit' in ending else ''})",
        "sys.argv[1:] = ['measure', 't.csv']",
        "main()",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(program)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("hartley: nothing was measured: the process that reads the file ended")
    assert last.endswith(ENDINGS[ending])


CONFIRMS = """
import os, sys
from hartley.cli.supervise import supervised

def confirm_from_a_copy():
    if os.fork() == 0:
        frame = sys._getframe()
        while "token" not in frame.f_locals:
            frame = frame.f_back
        token, confirm = bytes(frame.f_locals["token"]), frame.f_locals["confirm"]
        try:
            os.write(confirm, token + bytes([0]))
        except OSError:
            os.write(1, b"closed " if token == bytes(16) else b"closed, but the token is there")
        os._exit(0)
    os.wait()
    return 1

sys.exit(supervised(confirm_from_a_copy))
"""


def test_a_copy_of_the_command_cannot_confirm_a_verdict():
    """Workers are copies of it, and play parts that look into every frame."""
    done = subprocess.run(
        [sys.executable, "-c", CONFIRMS], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "closed "), done.stderr


def test_one_attack_is_limited_too_and_its_prints_are_shown(command):
    words = ("--scene", "live:membership", "--game-rounds", "2")
    run = command("attack", "naps", *words, "--seconds", "60", "--time-limit", "0.5")
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 3 and "FAILED   naps: it took longer than the time limit of 0" in out
    run = command("attack", "chatters", *words)
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0 and "chatters" in out
    assert "from below Python" in err and "from below Python" not in out


def test_a_kill_of_the_command_takes_its_processes_along(command, tmp_path):
    (tmp_path / "naps.toml").write_text(NAPS)
    run = command("assess", "naps.toml", "--workers", "1")
    wait_until(playing(tmp_path))
    run.kill()
    run.communicate()
    wait_until(lambda: not processes_in(tmp_path))


@pytest.mark.parametrize("words", [("assess", "--scene", "nowhere"), ("list", "attacks")])
def test_ctrl_c_while_the_command_is_imported_is_one_line(words):
    """At moments from its first import to its first output, in steps of what that takes here."""
    code = "import hartley.cli.start as s, os; s.guard(); os.write(1, b'.'); s.main()"

    def start():
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
        )
        assert process.stdout is not None and process.stdout.read(1) == b"."
        return process, time.monotonic()

    process, begun = start()
    process.communicate(timeout=60)
    whole = time.monotonic() - begun
    codes = []
    for part in range(5):
        process, _ = start()
        time.sleep(part / 6 * whole)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        # It may have ended before; as Python itself ends, the signal kills it: 130 in a shell.
        lines = 0 if process.returncode in (0, -signal.SIGINT) else 1
        assert b"Traceback" not in err and len(err.splitlines()) == lines, err.decode()
        codes.append(process.returncode)
    assert set(codes) <= {130, 2, 0, -signal.SIGINT} and codes[0] == 130, codes

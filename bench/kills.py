"""Is a run that was killed and continued the same as one that was not? kill -9, again and again.

    python bench/kills.py [--kills 200] [--seed 0]

A small plan is assessed undisturbed, with one and with two workers. Then it is begun anew in an
empty store and killed, its workers with it, at a random time; the same command continues it. Of
four kills three come after the run was opened, when there is something to lose. The document that
it ends with is compared with the undisturbed one bit for bit, but for times, and ``hartley gate``
must judge it as verified. Every third run is killed a second time while it is continued.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from hartley.cli.main import run

PLAN = """
scene = "live:membership"
only = ["loss_threshold", "entropy_metrics", "lira", "rmia"]
[limits]
membership = 1.0
[limits.least]
attacks = ["loss_threshold", "entropy_metrics", "lira", "rmia"]
"""
TIMES = ("created", "finished", "seconds", "shared_seconds", "rate_bits_per_s", "costs", "host")
"""What may differ between two runs: dates, seconds, what is computed from them, and the machine."""
LATE = 0.75
"""Share of kills that come after the run was opened."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200, help="how many runs are killed")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance = random.Random(asked.seed)
    folder = Path(tempfile.mkdtemp(prefix="hartley-kills-"))
    (folder / "plan.toml").write_text(PLAN)
    whole, takes = {}, {}
    for workers in (1, 2):
        began = time.monotonic()
        process = start(folder, workers)
        opened = opening(folder, process)
        process.wait()
        takes[workers] = (opened - began, time.monotonic() - opened)
        whole[workers] = numbers(folder)
        before, after = takes[workers]
        print(f"undisturbed, {workers} workers: {before:.1f} + {after:.1f} s", flush=True)
        shutil.rmtree(folder / "runs")
    alike = whole[1] == whole[2]
    print(f"one and two workers: {'the same document' if alike else 'DIFFERENT documents'}")
    ends: Counter[str] = Counter()
    for number in range(asked.kills):
        workers = 1 + number % 2
        shutil.rmtree(folder / "runs", ignore_errors=True)
        for _ in range(2 if number % 3 == 0 else 1):
            process = start(folder, workers)
            late = chance.random() < LATE
            if late:
                opening(folder, process)
            kill(process, chance.uniform(0, min(whole_time[late] for whole_time in takes.values())))
            ends[f"killed with {jobs(folder)} jobs done"] += 1
        code = start(folder, workers).wait()
        same = numbers(folder) == whole[workers]
        gate = judged(folder)
        end = f"continued to {'the same' if same else 'ANOTHER'} document, exit {code}, gate {gate}"
        ends[end] += 1
        alike &= same and code == gate == 0
        if not alike:
            print(f"number {number} of seed {asked.seed} is kept in {folder}")
            break
        if number % 10 == 9:
            print(f"{number + 1}: {dict(sorted(ends.items()))}", flush=True)
    for end, count in sorted(ends.items()):
        print(f"{count:5} {end}")
    if alike:
        shutil.rmtree(folder)
    sys.exit(not alike)


def judged(folder: Path) -> int:
    """The exit code of the gate, in this process."""
    limits, store = str(folder / "plan.toml"), str(folder / "runs")
    with contextlib.redirect_stdout(io.StringIO()):
        return run(("gate", "one", "--limits", limits, "--store", store))


def command(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "hartley.cli.main", *words],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def start(folder: Path, workers: int) -> subprocess.Popen[bytes]:
    """Begin or continue the run."""
    return command(folder, "assess", "plan.toml", "--run", "one", "--workers", str(workers))


def opening(folder: Path, process: subprocess.Popen[bytes]) -> float:
    """Wait until the journal is written to; return the time."""
    path = folder / "runs/one/journal.jsonl"
    size = path.stat().st_size if path.exists() else 0
    while process.poll() is None and (not path.exists() or path.stat().st_size <= size):
        time.sleep(0.01)
    return time.monotonic()


def kill(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Kill a process after some seconds, and its workers a moment later."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        children = below(process.pid)
        process.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        process.wait()


def below(parent: int) -> list[int]:
    """The processes that a process has started, which are in groups of their own."""
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == parent:
            children.append(int(path.parent.name))
    return [*children, *(pid for child in children for pid in below(child))]


def jobs(folder: Path) -> int:
    """How many jobs the journal of the run holds."""
    path = folder / "runs/one/journal.jsonl"
    return path.read_bytes().count(b'{"event": "done"') if path.exists() else 0


def numbers(folder: Path, store: str = "runs") -> Any:
    """The run document without times."""
    return timeless(json.loads((folder / store / "one/run.json").read_bytes()))


def timeless(value: Any) -> Any:
    """A document without what may differ between two runs."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in TIMES}
    return [timeless(item) for item in value] if isinstance(value, list) else value


if __name__ == "__main__":
    main()

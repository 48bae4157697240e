"""Parts that misbehave: does each cost its own row alone, whatever it does?

    python bench/misbehave.py                            # every part alone, with 1 and 2 workers
    python bench/misbehave.py --together --no-isolate    # all attacks of a file at once, in workers
    python bench/misbehave.py --only endings --stops 20  # one file; Ctrl-C at 20 random moments

The parts are the plugin in ``tests/misbehaving``. Each plays beside two of Hartley's own attacks,
by the real command. A part is contained if the command ends in time, with the exit code of its rows
(3 where one has failed, 0 where all are measured and within their limit), the rows of the other
attacks have the same guesses and the same bits as in a run without it, nothing shows a traceback,
and no process is left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hartley.core.errors import StoreError
from hartley.engine.run import processes
from hartley.store import read_trials

PLUGIN = Path(__file__).parents[1] / "tests" / "misbehaving"
GOOD = ("loss_threshold", "rmia")
MEASURED = {
    *("forks_and_returns_twice", "leaves_a_daemon", "hangs_at_exit", "raises_later"),
    *("prints_without_end", "changes_torch", "removes_its_folder"),
}
"""Attacks that answer honestly, whatever else they do: their rows are measured."""
EITHER = {
    *("changes_numpy", "changes_hartley", "changes_the_process", "changes_the_clock"),
    *("forgets_modules", "forks_many", "writes_everywhere", "keeps_writing_everywhere"),
}
"""Attacks that answer honestly and then spoil their own process, which may cost their own row."""
SCENES = {
    "leaves_below_python": 3,
    "reads_nowhere": 3,
    "is_killed": 3,
    "leaves_a_thread": 0,
    "forks": 0,
    "ignores_signals": 0,
    "writes_to_all": None,
}
"""Recipes, and the exit code of a run on them; None: 0 or 3, as its rows are measured or failed."""
TIME_LIMIT, MEMORY_LIMIT, PATIENCE = 20, 1.2, 240


def declared(first: str) -> dict[str, list[str]]:
    """Names of the parts whose first argument has this name, by the file that they are in."""
    pattern = re.compile(rf"^def (\w+)\({first}, rng", re.MULTILINE)
    files = sorted((PLUGIN / "misbehaving").glob("*.py"))
    return {path.stem: names for path in files if (names := pattern.findall(path.read_text()))}


Rows = dict[str, object]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int | None
    out: str
    err: str
    seconds: float


def command(folder: Path, *words: str) -> subprocess.Popen[str]:
    """Start the real command."""
    path = [str(PLUGIN), os.environ.get("PYTHONPATH", "")]
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "hartley.cli.main", *words],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(path),
            "HARTLEY_MISBEHAVE": str(scratch),
        },
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )


def finish(process: subprocess.Popen[str], began: float) -> Ended:
    """Wait for a command; one that does not end is killed and has no code."""
    try:
        out, err = process.communicate(timeout=PATIENCE)
        return Ended(process.returncode, out, err, time.monotonic() - began)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return Ended(None, out, err, time.monotonic() - began)


def left_over() -> list[int]:
    """Processes that descend from this one, which adopts what a command leaves behind."""
    while True:
        try:
            if not os.waitpid(-1, os.WNOHANG)[0]:
                break
        except ChildProcessError:
            break
    table = processes.process_table()
    return [pid for pid in table if processes.descends(pid, os.getpid(), table)]


def assess(
    folder: Path, only: Sequence[str], workers: int, isolate: bool | None, more: str = ""
) -> Ended:
    """Assess the attacks on the live scene."""
    isolated = "" if isolate is None else f"isolate = {str(isolate).lower()}\n"
    plan = folder / "plan.toml"
    plan.write_text(
        f'scene = "live:membership"\nonly = {json.dumps([*only, *GOOD])}\n'
        "[games.membership]\nrounds = 2\n[limits]\nmembership = 1.0\n"
        f"[limits.least]\nattacks = {json.dumps(GOOD)}\n"
        f"[executor]\nworkers = {workers}\ntime_limit = {TIME_LIMIT}\n"
        f"memory_limit = {MEMORY_LIMIT}\n{isolated}{more}"
    )
    began = time.monotonic()
    return finish(command(folder, "assess", "plan.toml", "--run", "one", "--json"), began)


def good_rows(folder: Path, document: dict[str, Any]) -> Rows:
    """What must be the same in every run: the rows of Hartley's own attacks, and their trials."""
    rows: Rows = {}
    for row in document["channels"]:
        if row["attack"] in GOOD and row["baseline"] and row["status"] == "measured":
            values = {name: row[name] for name in ("bits", "metrics", "n", "flags", "alphabet")}
            rows[row["attack"]] = json.dumps(values, sort_keys=True)
    for path in sorted((folder / "runs/one/trials").glob("*.parquet")):
        name = path.name.partition("-")[0]
        if name in GOOD:
            try:
                trials = read_trials(path)
                rows[path.name] = (trials.guess.tobytes(), trials.truth.tobytes())
            except StoreError as error:
                rows[path.name] = str(error)
    return rows


def faults(names: Sequence[str], ended: Ended, folder: Path, clean: Rows) -> Iterator[str]:
    """What was not contained."""
    if ended.code is None:
        yield f"it had not ended after {PATIENCE} s"
    if "Traceback" in ended.err:
        yield "a traceback on the terminal"
    if remaining := left_over():
        yield f"{len(remaining)} processes are left"
        processes.end_descendants()
    try:
        document = json.loads(ended.out)
    except ValueError:
        yield f"standard output is not a document: {ended.err[-300:]!r}"
        return
    rows = {row["attack"]: row for row in document["channels"] if row["baseline"]}
    failed = [name for name in names if rows[name]["status"] != "measured"]
    for name in names:
        if name not in EITHER and (name in failed) == (name in MEASURED):
            yield f"{name} is {rows[name]['status']}: {rows[name].get('reason')}"
    code = 3 if failed or any(row["status"] == "failed" for row in document["channels"]) else 0
    if ended.code != code:
        yield f"exit code {ended.code} instead of {code} ({document['verdict']})"
    rows_now = good_rows(folder, document)
    if any(rows_now.get(key) != value for key, value in clean.items()):
        yield f"other rows differ: {sorted(k for k in clean if rows_now.get(k) != clean[k])}"


def play(names: Sequence[str], workers: int, isolate: bool | None, clean: Rows) -> bool:
    """Play attacks in one run and print how it went; return whether all were contained."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        ended = assess(folder, names, workers, isolate)
        found = list(faults(names, ended, folder, clean))
    label = names[0] if len(names) == 1 else f"{len(names)} attacks at once"
    print(f"{label:28} {workers} workers {ended.seconds:6.1f} s  {'; '.join(found) or 'contained'}")
    return not found


def play_defense(name: str, workers: int, clean: Rows) -> bool:
    """The same of a defense."""
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        ended = assess(folder, (), workers, None, f'[defenses]\nuse = ["{name}"]\n')
        found = list(faults((), ended, folder, clean))
    print(f"{name:28} {workers} workers {ended.seconds:6.1f} s  {'; '.join(found) or 'contained'}")
    return not found


def play_scene(name: str, code: int | None, workers: int) -> bool:
    """The same of a recipe: its exit code, processes and tracebacks."""
    with tempfile.TemporaryDirectory() as path:
        folder, began = Path(path), time.monotonic()
        words = ("assess", "--scene", name, "--only", GOOD[0], "--workers", str(workers))
        ended = finish(command(folder, *words), began)
    found = []
    if ended.code is None or ended.code not in ({0, 3} if code is None else {code}):
        found.append(f"exit code {ended.code}: {ended.err[-200:]!r}")
    if ended.code == 0 and "verdict:" not in ended.out:
        found.append("exit code 0 without a verdict")
    if "Traceback" in ended.err:
        found.append("a traceback on the terminal")
    if left_over():
        found.append("processes are left")
        processes.end_descendants()
    print(f"{name:28} {workers} workers {ended.seconds:6.1f} s  {'; '.join(found) or 'contained'}")
    return not found


def stop(rng: random.Random) -> bool:
    """Press Ctrl-C twice at random moments; return whether it ended without a trace."""
    with tempfile.TemporaryDirectory() as path:
        folder, began = Path(path), time.monotonic()
        (folder / "plan.toml").write_text(
            'scene = "live:membership"\nonly = ["sleeps", "loss_threshold"]\n'
            "[games.membership]\nrounds = 2\n"
        )
        process = command(folder, "assess", "plan.toml", "--workers", "2")
        assert process.stderr is not None
        first = process.stderr.readline()  # its imports are done
        waits = rng.uniform(0, 6), rng.uniform(0, 0.4)
        for wait in waits:
            time.sleep(wait)
            process.send_signal(signal.SIGINT)
        ended = finish(process, began)
    remaining = left_over()
    processes.end_descendants()
    sound = ended.code == 130 and "Traceback" not in first + ended.err and not remaining
    times = f"after {waits[0]:.2f} s and {waits[1]:.2f} s more"
    problem = "" if sound else f": {ended.code}, {len(remaining)} left, {ended.err[-200:]!r}"
    print(f"Ctrl-C twice {times}: {'one line, exit 130' if sound else 'not contained'}{problem}")
    return sound


def main() -> int:
    """Play all; return 0 if everything was contained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--together", action="store_true", help="all attacks of a file in one run")
    parser.add_argument("--no-isolate", action="store_true", help="attacks play in the workers")
    parser.add_argument("--only", default="", help="attacks of one file, defenses or scenes")
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--stops", type=int, default=0, help="runs with Ctrl-C pressed twice")
    options = parser.parse_args()
    processes.adopt_orphans()
    isolate = False if options.no_isolate else None
    with tempfile.TemporaryDirectory() as path:
        ended = assess(Path(path), (), 1, isolate)
        clean = good_rows(Path(path), json.loads(ended.out))
    assert ended.code == 0 and len(clean) == 2 * len(GOOD), ended.err[-500:]
    results = []
    for workers in options.workers:
        for stem, names in declared("view").items():
            if options.only in ("", stem):
                batches = [names] if options.together else [[name] for name in names]
                results += [play(batch, workers, isolate, clean) for batch in batches]
        for stem, names in declared("scene").items():
            if options.only in ("", stem):
                results += [play_defense(name, workers, clean) for name in names]
        if options.only in ("", "scenes"):
            results += [play_scene(name, code, workers) for name, code in SCENES.items()]
    rng = random.Random(0)
    results += [stop(rng) for _ in range(options.stops)]
    print(f"{sum(results)} of {len(results)} runs contained")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

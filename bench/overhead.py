"""What the engine costs: microseconds a query, the time to start, and what a second worker saves.

    python bench/overhead.py
    python bench/overhead.py --efficiency 5     # whole audits with one and two workers, in turns

The engine's own time is what sealing, metering, freezing and checking add to a model that answers
from memory, in batches of 1,000 records; the target is under 100 µs a query, and the whole of a
batch is one check, so it is far below. Start-up is the wall and the CPU time of whole processes,
median of repeated runs.

Efficiency is the time on the clock of ``hartley assess --scene digits`` with one worker, divided by
twice the time with two. Each audit is a whole process with an empty store and an empty cache. On
a machine that others use, the best turn of each side says most; medians are printed beside it, with
the processor seconds, which others disturb less.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hartley.core import Access, Modality, Model, Output, View
from hartley.engine.run.meter import Meter, seal

BATCH, REPEATS, CLASSES = 1000, 300, 10


def per_query(output: Output, needs: Access) -> float:
    """Return the microseconds that the engine adds to one query."""
    rng = np.random.default_rng(0)
    answers = rng.dirichlet(np.ones(CLASSES), BATCH)
    if output is Output.LABELS:
        answers = answers.argmax(1)
    x = rng.random((BATCH, 64), dtype=np.float32)
    model = Model("memory", Modality.TABULAR, lambda _: answers, output, CLASSES)
    sealed = seal(View(model, None), needs, Meter()).model

    def timed(query) -> float:
        spans = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            query(x)
            spans.append(time.perf_counter() - started)
        return statistics.median(spans)

    return (timed(sealed.query) - timed(model.query)) / BATCH * 1e6


def startup(*words: str, repeats: int = 15) -> tuple[float, float]:
    """Return the median wall and CPU seconds of a process."""
    walls, cpus = [], []
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
        walls.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpus.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return statistics.median(walls), statistics.median(cpus)


def audit(workers: int, scene: str) -> tuple[float, float]:
    """Return the wall and CPU seconds of a whole audit with nothing kept from before."""
    with tempfile.TemporaryDirectory(prefix="hartley-efficiency-") as folder:
        words = ["assess", "--scene", scene, "--workers", str(workers)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "hartley", *words, "--store", str(Path(folder) / "runs")],
            env={**os.environ, "HARTLEY_CACHE": str(Path(folder) / "cache")},
            check=False,
            capture_output=True,
            text=True,
        )
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise SystemExit(done.stderr)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def efficiency(turns: int, scene: str) -> None:
    """Print what audits with one and with two workers take, and the efficiency."""
    walls: dict[int, list[float]] = {1: [], 2: []}
    cpus: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(turns):
        for workers in (1, 2) if turn % 2 == 0 else (2, 1):
            load = os.getloadavg()[0]
            wall, cpu = audit(workers, scene)
            walls[workers].append(wall)
            cpus[workers].append(cpu)
            words = f"turn {turn + 1}, {workers} workers: {wall:6.2f} s wall, {cpu:6.2f} s CPU"
            print(f"{words}, load before {load:.1f}", flush=True)
    print(f"\n{scene}, {turns} turns      wall min  median   CPU min  median")
    for workers in (1, 2):
        times = walls[workers], cpus[workers]
        row = "".join(f"  {f(t):7.2f}" for t in times for f in (min, statistics.median))
        print(f"  {workers} workers          {row}")
    for name, best in (("best turns", min), ("medians", statistics.median)):
        print(f"efficiency 1 to 2, {name}: {best(walls[1]) / 2 / best(walls[2]):.3f}")


def main() -> None:
    """Print both tables, or the efficiency."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--efficiency", type=int, default=0, metavar="TURNS")
    parser.add_argument("--scene", default="digits", help="of the audits")
    asked = parser.parse_args()
    if asked.efficiency:
        efficiency(asked.efficiency, asked.scene)
        return
    print(f"engine, microseconds a query in batches of {BATCH} (target: under 100)")
    for output, needs in (
        (Output.PROBABILITIES, Access.SCORES),
        (Output.LOGITS, Access.SCORES),
        (Output.PROBABILITIES, Access.LABELS),
        (Output.LABELS, Access.LABELS),
    ):
        print(f"  {output:14} for {needs.words[0]:7} {per_query(output, needs):8.3f}")
    print(f"\nstart-up, median seconds, load {os.getloadavg()[0]:.1f}        wall    CPU")
    for name, words in {
        "python -c pass": ("-c", "pass"),
        "import hartley": ("-c", "import hartley"),
        "hartley --help": ("-m", "hartley.cli.main", "--help"),
        "hartley list": ("-m", "hartley.cli.main", "list"),
        "hartley list --json": ("-m", "hartley.cli.main", "list", "--json"),
        "hartley list --matrix": ("-m", "hartley.cli.main", "list", "--matrix"),
        "hartley show lira": ("-m", "hartley.cli.main", "show", "lira"),
    }.items():
        wall, cpu = startup(*words)
        print(f"  {name:42} {wall:6.3f} {cpu:6.3f}")


if __name__ == "__main__":
    main()

"""What a store at a URL costs: one run, in a folder and in the store, in turns.

Run with ``python bench/stores_at_urls.py URL [TURNS]``. Each turn plays the same plan anew. Wall
times are of the whole command; processor times are of it and of the process that sends.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PLAN = """
scene = "live:membership"
only = ["*threshold*", "entropy_metrics", "*membership*"]
replicates = 4
[executor]
workers = 1
"""


def main(url: str, turns: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        os.environ["HARTLEY_SPOOL"] = str(Path(place) / "spool")
        os.environ.setdefault("HARTLEY_CACHE", str(Path(place) / "cache"))
        plan = Path(place) / "plan.toml"
        plan.write_text(PLAN)
        spent: dict[str, list[tuple[float, float]]] = {"folder": [], "URL": []}
        play(plan, str(Path(place) / "first"))  # what is cached is made once
        for turn in range(turns):
            for name, store in (("folder", str(Path(place) / "runs")), ("URL", url)):
                spent[name].append(play(plan, store, f"turn-{os.getpid()}-{turn}"))
        for name, times in spent.items():
            walls, cpus = zip(*times, strict=True)
            print(f"{name}: wall {[round(w, 1) for w in walls]} s, processor {list(cpus)} s")
        walls = [statistics.median(wall for wall, _ in times) for times in spent.values()]
        cpus = [statistics.median(cpu for _, cpu in times) for times in spent.values()]
        print(f"medians, URL less folder: {walls[1] - walls[0]:.1f} s, {cpus[1] - cpus[0]:.1f} s")
        command = [sys.executable, "-m", "hartley", "list", "runs", "--store", url]
        begun = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        print(f"list runs: {time.monotonic() - begun:.1f} s")
        os.environ["HARTLEY_SPOOL"] = str(Path(place) / "another")
        begun = time.monotonic()
        run = f"turn-{os.getpid()}-0"
        command = [sys.executable, "-m", "hartley", "report", run, "--store", url]
        subprocess.run([*command, "--format", "junit"], check=True, stdout=subprocess.DEVNULL)
        print(f"report of a run of 32 rows that is not here yet: {time.monotonic() - begun:.1f} s")


def play(plan: Path, store: str, run: str = "first") -> tuple[float, float]:
    """Return wall and processor seconds of a command."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "hartley", "assess", str(plan), "--store", store, "--run", run]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - begun, round(cpu, 1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3)

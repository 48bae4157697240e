"""What the engine costs: microseconds a query, and the time to start the command.

    python bench/overhead.py

The engine's own time is what sealing, metering, freezing and checking add to a model that answers
from memory, in batches of 1,000 records; the target is under 100 µs a query, and the whole of a
batch is one check, so it is far below. Start-up is the wall and the CPU time of whole processes,
median of repeated runs.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import time

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


def main() -> None:
    """Print both tables."""
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

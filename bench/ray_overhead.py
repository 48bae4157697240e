"""What Ray costs: the time on the clock of the same jobs here and on a cluster of this machine.

    python bench/ray_overhead.py
    python bench/ray_overhead.py --jobs 8 --rounds 3000 --turns 3

Jobs are replicates of one attack on ``live:membership``, each at least ten seconds of work, on two
workers. Both sides play the same jobs in turns, in one process, and the cluster runs already; each
job has victims of its own, so that nothing is kept for the other side. Printed are the seconds from
the first job's start to the last result (warm), and from the call to its end (whole), which on Ray
holds the connection and the start of the workers there. Ratios are of turns, with the interval of
their geometric mean: turns differ by what else the machine does. The target is warm ≤ 1.10 × local.

The trials of both sides are compared byte by byte.
"""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
import time

import numpy as np
from scipy import stats

from hartley.core import Experiment, Stage
from hartley.engine.run import executor, processes
from hartley.engine.run.ray_executor import Cluster, perform_on_ray
from hartley.store import trials_from_bytes

WORKERS = 2
HEAD = """
import sys, ray
ray.init(address="local", num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.2",
         _temp_dir=sys.argv[1], object_store_memory=100 << 20, log_to_driver=False)
print(ray.get_runtime_context().gcs_address, flush=True)
sys.stdin.read()
"""


def play(jobs, address):
    """Return the warm and the whole seconds, the seconds of each job, and the trials by key."""
    results, begun = {}, []
    called = time.perf_counter()
    callbacks = {
        "started": lambda _job: begun.append(time.perf_counter()),
        "finished": lambda job, result: results.__setitem__(job.key, result),
    }
    if address:
        perform_on_ray(jobs, cluster=Cluster(address), workers=WORKERS, **callbacks)
    else:
        executor.perform(jobs, workers=WORKERS, **callbacks)
    ended = time.perf_counter()
    spans = [result.note["seconds"] for result in results.values()]
    failed = [result.note["reason"] for result in results.values() if result.status != "done"]
    if failed:
        raise SystemExit(failed[0])
    cpu = sum(result.note["cpu"]["all"] for result in results.values())
    trials = {key: trials_from_bytes(result.content) for key, result in results.items()}
    return ended - begun[0], ended - called, spans, cpu, trials


def same(one, two) -> bool:
    """Whether both sides brought the same trials."""
    return one.keys() == two.keys() and all(
        np.asarray(getattr(one[key], name)).tobytes()
        == np.asarray(getattr(two[key], name)).tobytes()
        for key in one
        for name in ("truth", "guess", "reference")
    )


def interval(ratios) -> tuple[float, float, float]:
    """Geometric mean of the ratios of the turns, and its interval of 95 % by Student's t."""
    logs = np.log(ratios)
    half = 0.0
    if len(logs) > 1:
        half = stats.t.ppf(0.975, len(logs) - 1) * logs.std(ddof=1) / len(logs) ** 0.5
    return tuple(np.exp([logs.mean(), logs.mean() - half, logs.mean() + half]))


def main() -> None:
    """Play in turns and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1500)
    parser.add_argument("--turns", type=int, default=2)
    options = parser.parse_args()
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "90"}
    with tempfile.TemporaryDirectory(prefix="hry-", ignore_cleanup_errors=True) as scratch:
        head = subprocess.Popen(
            [sys.executable, "-c", HEAD, scratch],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            address = head.stdout.readline().strip()
            ratios = []
            for turn in range(options.turns):
                stage = Stage("loss_threshold", {}, "membership", {"rounds": options.rounds})
                jobs = [
                    Experiment("live:membership", stages=(stage,), seed=turn, replicate=number)
                    for number in range(options.jobs)
                ]
                sides = [("", "local"), (address, "ray")]
                found = {}
                for place, name in sides if turn % 2 == 0 else sides[::-1]:
                    found[name] = play(jobs, place)
                    warm, whole, spans, cpu, _ = found[name]
                    print(
                        f"turn {turn + 1} {name:5} warm {warm:.1f} s, whole {whole:.1f} s, jobs "
                        f"{min(spans):.1f} to {max(spans):.1f} s, CPU of the jobs {cpu:.1f} s",
                        flush=True,
                    )
                pairs = zip(found["ray"], found["local"], strict=True)
                ratios.append([far / here for far, here in list(pairs)[:2]])
                ratios[-1].append(found["ray"][3] / found["local"][3])
                print(
                    f"turn {turn + 1} warm ray / local {ratios[-1][0]:.3f}, whole "
                    f"{ratios[-1][1]:.3f}, same trials: "
                    f"{same(found['local'][4], found['ray'][4])}",
                    flush=True,
                )
            for number, name in enumerate(("warm", "whole", "CPU of the jobs")):
                mean, low, high = interval([ratio[number] for ratio in ratios])
                print(f"{name} ray / local: {mean:.3f} [{low:.3f}, {high:.3f}], n {len(ratios)}")
        finally:
            processes.end(head.pid)
            head.wait()


if __name__ == "__main__":
    main()

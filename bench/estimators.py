"""Speed and truth of the estimators, Hartley and its peers on the same samples in one run.

    python bench/estimators.py [--peers /path/to/other/venv/bin/python] [--quick]

Peers (scikit-learn, npeet-plus, ennemi, infomeasure, dit) run in the interpreter that ``--peers``
names, one process each, on one thread; what is not installed there is named as absent, never left
out. All times are CPU seconds, the least of the repeats, since the load of a shared machine moves
wall time. ``×`` is a peer's time over Hartley's.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from importlib import metadata

import numpy as np

N, K = 10_000, 3
KSG = ((1, 0.6), (5, 0.6), (10, 0.5))
CHANNELS = [(n, kind) for n in (256, 1000) for kind in ("banded", "Dir(1)", "Dir(0.1)")]
SMALL = (16, 64)


def samples(d, rho):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, d))
    return x, rho * x + math.sqrt(1 - rho * rho) * rng.normal(size=(N, d))


def channel(n, kind):
    rng = np.random.default_rng(1)
    if kind == "banded":
        apart = np.abs(np.arange(n)[:, None] - np.arange(n))
        w = np.exp(-0.5 * (apart / 4) ** 2) * (apart <= 12)
    else:
        w = rng.dirichlet(np.full(n, float(kind[4:-1])), n)
    return w / w.sum(1, keepdims=True)


def timed(call, repeats):
    best, value = math.inf, None
    for _ in range(repeats):
        start = time.process_time()
        value = call()
        best = min(best, time.process_time() - start)
    return value, best


def plain_blahut_arimoto(w, goal=1e-6, rounds=20_000):
    """What one writes in ten lines of numpy: (lower bound, gap, rounds)."""
    w = w[:, w.any(0)]
    p = np.full(len(w), 1 / len(w))
    own = np.where(w > 0, w * np.log2(np.where(w > 0, w, 1)), 0).sum(1)
    done, high, low = 0, math.inf, 0.0
    while high - low >= goal and done < rounds:
        d = own - w @ np.log2(p @ w)
        low, high = float(p @ d), float(d.max())
        p = p * 2 ** (d - high)
        p /= p.sum()
        done += 1
    return low, high - low, done


def peer_ksg(name, d, rho):
    x, y = samples(d, rho)
    slow = d > 1
    if name == "scikit-learn":
        from sklearn.feature_selection import mutual_info_regression

        def call():
            return mutual_info_regression(x, y[:, 0], n_neighbors=K)[0] / math.log(2)
    elif name == "npeet-plus":
        import npeet_plus

        def call():
            return npeet_plus.mi(x, y, k=K)
    elif name == "ennemi":
        import ennemi

        def call():
            return float(np.squeeze(ennemi.estimate_mi(y[:, 0], x[:, 0], k=K))) / math.log(2)
    else:
        import infomeasure

        def call():
            return infomeasure.mutual_information(x, y, approach="ksg", k=K, base=2)

    return timed(call, 1 if slow else 5)


def peer_capacity(n, kind):
    from dit.algorithms.channelcapacity import channel_capacity

    w = channel(n, kind)
    return timed(lambda: float(channel_capacity(w, rtol=1e-7, atol=1e-7)[0]), 1)


def child(task):
    """Run one task of a peer and print [value, seconds] or why not."""
    what, *rest = json.loads(task)
    try:
        print(json.dumps(peer_ksg(*rest) if what == "ksg" else peer_capacity(*rest)))
    except ImportError as error:
        print(json.dumps(f"absent: {error}"))


def ask(python, *task):
    if python is None:
        return "absent: no --peers given"
    found = subprocess.run(
        [python, "-W", "ignore", __file__, "--child", json.dumps(task)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
    )
    if found.returncode:
        return "failed: " + found.stderr.strip().splitlines()[-1]
    return json.loads(found.stdout.splitlines()[-1])


def row(name, answer, ours, truth=""):
    if isinstance(answer, str):
        print(f"  {name:<34}{answer}")
        return
    value, seconds = answer
    ratio = "" if ours is None else f"{seconds / ours:8.1f} ×"
    print(f"  {name:<34}{seconds:9.4f} s {ratio:<11} {value:.6f} bit {truth}")


def bench_ksg(peers):
    from hartley.infotheory.ksg import ksg

    print(f"\nKSG, k = {K}, n = {N}, CPU seconds")
    for d, rho in KSG:
        x, y = samples(d, rho)
        ours = None
        print(f" {d} + {d} dimensions, true {-0.5 * d * math.log2(1 - rho * rho):.4f} bit")
        for method in ("auto", "tree", "blocks"):
            if method == "tree" and d > 1:
                continue  # minutes of no use; the switch is shown below
            one = timed(lambda m=method: ksg(x, y, K, method=m).value, 5)  # noqa: B023
            ours = ours or one[1]
            row(f"Hartley ({method})", one, ours)
        for name in ("scikit-learn", "npeet-plus", "ennemi", "infomeasure"):
            if d > 1 and name in {"scikit-learn", "ennemi"}:
                row(name, "one-dimensional variables only", None)
            else:
                row(name, ask(peers, "ksg", name, d, rho), ours)
    print(" the switch: tree against blocks, by joint dimension")
    for dims in ((1, 1), (1, 2), (2, 2), (2, 3), (3, 3), (3, 4)):
        rng = np.random.default_rng(2)
        x = rng.normal(size=(N, dims[0]))
        y = rng.normal(size=(N, dims[1]))
        times = [
            timed(lambda m=m: ksg(x, y, K, method=m), 2)[1]  # noqa: B023
            for m in ("tree", "blocks")
        ]
        print(f"  {dims[0]} + {dims[1]}: tree {times[0]:.4f} s, blocks {times[1]:.4f} s")


def bench_capacity(peers, quick):
    from hartley.infotheory.capacity import capacity

    print("\ncapacity, certified gap 1e-6 bit, CPU seconds")
    for n, kind in CHANNELS:
        w = channel(n, kind)
        print(f" {n} × {n} {kind}")
        found, seconds = timed(lambda: capacity(w), 5)  # noqa: B023
        gap = found.upper - found.lower
        row("Hartley", (found.value, seconds), seconds, f"gap {gap:.0e}, {found.rounds} rounds")
        if quick and n > 256:
            row("plain numpy Blahut–Arimoto", "left out by --quick", None)
            continue
        (low, gap, rounds), taken = timed(lambda: plain_blahut_arimoto(w), 1)  # noqa: B023
        note = f"gap {gap:.0e}, {rounds} rounds" + ("" if gap < 1e-6 else ", NOT CERTIFIED")
        row("plain numpy Blahut–Arimoto", (low, taken), seconds, note)
    print(" dit's sizes")
    for n in SMALL:
        w = channel(n, "Dir(1)")
        found, seconds = timed(lambda: capacity(w), 20)  # noqa: B023
        row(f"Hartley {n} × {n}", (found.value, seconds), seconds)
        answer = ask(peers, "capacity", n, "Dir(1)")
        short = "" if isinstance(answer, str) else f"short by {found.lower - answer[0]:.1e}"
        row(f"dit {n} × {n} (rtol = atol = 1e-7)", answer, seconds, short)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", help="python of an environment with the peers in it")
    parser.add_argument("--quick", action="store_true", help="leave out the minutes of plain numpy")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child)
        return
    versions = ", ".join(f"{p} {metadata.version(p)}" for p in ("numpy", "scipy"))
    print(f"Python {sys.version.split()[0]}, {versions}, one thread")
    bench_ksg(options.peers)
    bench_capacity(options.peers, options.quick)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()

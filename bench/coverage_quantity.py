"""How often point, low and high of a row are what they say: coverage of the one quantity I_F.

    python bench/coverage_quantity.py [--scale 1.0] [--only PATTERN] [--seed 0] [--markdown]

Each line draws tables from a channel whose I_F is known by numerical integration, measures them
as ``hartley measure`` does, and compares: how often ``low`` passes the truth (99 % Clopper–Pearson),
how often ``high`` is at least the truth, the medians of both as shares of it, the point's bias.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import coverage_laws as laws
import numpy as np
from coverage_cases import HEAD, Asked, Case, Ends, measure_case
from coverage_guesses import ranks, symbols
from coverage_rows import Rng

from hartley.channel.readouts.score import measure_score
from hartley.core import ChannelSpec

Array = np.ndarray


def score_ends(
    secret: Array, score: Array, cluster: Array | None, rng: Rng, *, planted: bool, pieces: int
) -> Ends:
    """The ends of a score row, without its other metrics."""
    spec = ChannelSpec(planted=planted, pieces=pieces, clustered=cluster is not None)
    reading = measure_score(secret, score, cluster, spec, rng, full=False, certify=True)
    # As ``measure`` prints them: the point between the ends, all of them at most one bit.
    value = min(max(reading.point, reading.lower), 1.0)
    return Ends(reading.lower, value, min(max(reading.high, value), 1.0))


def read_rows(law: laws.ScoreLaw, n: int, ones: float | None, rng: Rng) -> Ends:
    """Draw n independent rows: coins, or a fixed share of ones that nobody drew."""
    if ones is None:
        secret = rng.integers(0, 2, n)
    else:
        secret = (np.arange(n) < round(n * ones)).astype(int)
    return score_ends(
        secret, law.draw(rng, secret), None, rng, planted=ones is None, pieces=law.pieces
    )


def rows() -> Iterator[Case]:
    law_list = [
        *(laws.shift(d) for d in (0.0, 0.5, 1.0, 2.0)),
        laws.spread(1),
        laws.spread(2),
        laws.heavy(1),
        laws.heavy(2),
        laws.both_tails(1),
        laws.both_tails(2),
        laws.rare(),
        laws.ties(),
        laws.discrete((0.5, 0.3, 0.15, 0.05), (0.2, 0.3, 0.3, 0.2), "four values"),
        laws.discrete((0.9, 0.1), (0.6, 0.4), "two values"),
        laws.discrete((0.9, 0.1), (0.9, 0.1), "two values, null"),
    ]
    for law in law_list:
        truth = law.truth
        for n, runs in ((40, 300), (300, 300), (1000, 300), (10_000, 60), (100_000, 6)):
            for ones in (None, 1 / 21):
                if (n, ones) == (40, 1 / 21):
                    continue
                if n == 100_000 and ones is not None:
                    continue
                large = {"shift 1": 1, "shift 2": 1, "shift 1, ties at ½": 1}.get(law.name)
                asked = Asked(bias=0.1 if n >= 10_000 else None)
                if ones is None and large:
                    most = {1000: 1.5, 10_000: 1.2}.get(n)
                    least = {1000: 0.55, 10_000: 0.8}.get(n) if law.name == "shift 1" else None
                    asked = replace(asked, high=most, low=least)
                if ones is None and truth <= 1e-6:
                    asked = replace(asked, null_high={1000: 0.02, 10_000: 0.003}.get(n))
                yield Case(
                    "rows",
                    f"{law.name}, n={n}" + (", 1:20" if ones else ""),
                    truth,
                    lambda rng, law=law, n=n, ones=ones: read_rows(law, n, ones, rng),
                    runs,
                    asked,
                )


def read_clusters(law: laws.Clusters, planted: bool, rng: Rng) -> Ends:
    secret, score, cluster = law.draw(rng)
    return score_ends(secret, score, cluster, rng, planted=planted, pieces=1)


def clusters() -> Iterator[Case]:
    law_list = []
    for m, size in ((2, 64), (3, 64), (7, 64), (8, 64), (16, 64), (64, 32), (200, 16)):
        for icc in (0.0, 0.2, 0.5, 0.9):
            for balanced in (False, True):
                law_list.append(laws.alike(m, size, icc, balanced))
                if icc in (0.0, 0.9):
                    law_list.append(laws.alike(m, size, icc, balanced, 0.0))
    for m, size in ((16, 400), (64, 200)):
        for icc in (0.2, 0.5, 0.9):
            law_list += [laws.alike(m, size, icc, b) for b in (False, True)]
    for law in law_list:
        yield Case("clusters", law.name, law.truth, lambda rng, law=law: read_clusters(law, True, rng), 60)


def sizes() -> Iterator[Case]:
    for m in (5, 20, 64):
        for small in (True, False):
            for balanced in (False, True):
                law = laws.unequal(m, small, balanced)
                yield Case(
                    "sizes", law.name, law.truth, lambda rng, law=law: read_clusters(law, True, rng), 60
                )


SUITES: dict[str, Callable[[], Iterator[Case]]] = {
    "rows": rows,
    "clusters": clusters,
    "sizes": sizes,
    "symbols": symbols,
    "ranks": ranks,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="", help="suites, or cases, that hold this text")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    failed = 0
    print(HEAD)
    for name, suite in SUITES.items():
        started = time.perf_counter()
        for i, case in enumerate(suite()):
            if args.only not in f"{name} {case.name}":
                continue
            begun = time.perf_counter()
            measured = measure_case(case, args.scale, np.random.default_rng([args.seed, i]))
            each = (time.perf_counter() - begun) / measured.runs * 1e3
            print(measured, f"{each:.0f}ms", flush=True)
            failed += bool(measured.faults)
        print(f"{'':9} {name}: {time.perf_counter() - started:.1f} s", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

"""How often point, low and high of a row are what they say: coverage of the one quantity I_F.

    python bench/coverage_quantity.py [--scale 1.0] [--only PATTERN] [--seed 0] [--markdown]

Each line draws tables from a channel whose I_F is known by numerical integration, measures them
as ``hartley measure`` does, and compares: how often ``low`` passes the truth (with 99 % limits),
how often ``high`` is at least the truth, the medians of both as shares of it (in bits where nothing
leaks), the point's bias. A line fails where the lower limit is above alpha, where ``high`` covers
less than 93 % beyond chance, or where a median or the bias is not what was asked
(``coverage_cases.Asked``). ``docs/coverage.md`` has the results.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import coverage_laws as laws
import numpy as np
from coverage_cases import HEADS, Asked, Case, Ends, line, measure_case
from coverage_guesses import ranks, symbols
from coverage_metrics import metrics
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
    planted = ones is None
    secret = rng.integers(0, 2, n) if ones is None else (np.arange(n) < round(n * ones)).astype(int)
    return score_ends(secret, law.draw(rng, secret), None, rng, planted=planted, pieces=law.pieces)


RUNS = {40: 200, 300: 200, 1000: 200, 10_000: 60, 100_000: 8}
LOW = {1000: 0.55, 10_000: 0.8}
HIGH = {1000: 1.5, 10_000: 1.2}
NOTHING = {1000: 0.02, 10_000: 0.003}


def rows() -> Iterator[Case]:
    """Independent rows, 1:1 by coins and 1:20."""
    for law in (
        *(laws.shift(d) for d in (0.0, 0.5, 1.0, 2.0)),
        *(make(pieces) for make in (laws.spread, laws.heavy, laws.both_tails) for pieces in (1, 2)),
        laws.rare(),
        laws.ties(),
        laws.discrete((0.5, 0.3, 0.15, 0.05), (0.2, 0.3, 0.3, 0.2), "four values"),
        laws.discrete((0.9, 0.1), (0.6, 0.4), "two values"),
    ):
        truth = law.truth
        for n, ones in (*((n, None) for n in RUNS), (1000, 1 / 21), (10_000, 1 / 21)):
            runs = 2 * RUNS[n] if law.name == "shift 1" else RUNS[n]
            yield Case(
                f"{law.name}, n={n}" + (", 1:20" if ones else ""),
                truth,
                lambda rng, law=law, n=n, ones=ones: read_rows(law, n, ones, rng),
                runs // law.pieces,
                asked_of(law.name, truth, n, coins=ones is None),
            )


def asked_of(name: str, truth: float, n: int, *, coins: bool) -> Asked:
    """What the issue asks of a law at n rows."""
    asked = Asked(bias=0.1 if n >= 10_000 else None)
    if not coins:
        return asked
    if truth <= 1e-6:
        return replace(asked, null_high=NOTHING.get(n))
    if name in ("shift 1", "shift 2"):
        asked = replace(asked, high=HIGH.get(n))
    return replace(asked, low=LOW.get(n)) if name == "shift 1" else asked


def read_clusters(law: laws.Clusters, planted: bool, rng: Rng) -> Ends:
    secret, score, cluster = law.draw(rng)
    return score_ends(secret, score, cluster, rng, planted=planted, pieces=1)


def clusters() -> Iterator[Case]:
    """Clusters that leak alike, whose levels shift; and some of which leak nothing."""
    shapes = [
        (2, 64),
        (3, 64),
        (7, 64),
        (8, 64),
        (16, 64),
        (64, 32),
        (200, 16),
        (16, 400),
        (64, 200),
    ]
    for m, size in shapes:
        for icc in (0.0, 0.2, 0.5, 0.9):
            for balanced in (False, True):
                yield cluster_case(laws.alike(m, size, icc, balanced))
        yield cluster_case(laws.alike(m, size, 0.5, m % 2 == 0, 0.0))


def sizes() -> Iterator[Case]:
    """Clusters of 10 and of 1,000 uses, of which one size leaks."""
    for m in (5, 20, 64):
        for small_leak in (True, False):
            for balanced in (False, True):
                yield cluster_case(laws.unequal(m, small_leak, balanced))


def cluster_case(law: laws.Clusters) -> Case:
    runs = 100 if "16 × 400" in law.name or "64 × 200" in law.name else 200
    return Case(law.name, law.truth, lambda rng: read_clusters(law, True, rng), runs)


SUITES: dict[str, Callable[[], Iterator[Case]]] = {
    "rows": rows,
    "clusters": clusters,
    "sizes": sizes,
    "symbols": symbols,
    "ranks": ranks,
    "metrics": metrics,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--only", default="", help="suites, or cases, that hold this text")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--markdown", action="store_true", help="print tables for the docs")
    args = parser.parse_args()
    failed = 0
    for name, suite in SUITES.items():
        started = time.perf_counter()
        cases = [c for c in suite() if args.only in f"{name}: {c.name}"]
        if not cases:
            continue
        print(f"\n## {name}: {suite.__doc__}\n")
        print(line(HEADS, markdown=args.markdown))
        if args.markdown:
            print(line(("---", *["---:"] * (len(HEADS) - 2), "---"), markdown=True))
        for case in cases:
            key = [args.seed, *case.name.encode()]
            measured = measure_case(case, args.scale, np.random.default_rng(key))
            print(line(measured.columns, markdown=args.markdown), flush=True)
            failed += bool(measured.faults)
        print(f"\n{len(cases)} cases, {time.perf_counter() - started:.0f} s.", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

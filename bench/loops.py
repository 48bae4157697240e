"""Do the limits of a loop's spectral radius cover the truth?

    python bench/loops.py [--runs 400] [--only PATTERN] [--seed 0] [--clusters 8,16] [--line]

Each run simulates a loop whose gains are known: for every edge, clusters (victims) that are
compromised at each dose, with a level and a slope of their own, and a number of records each. The
spectral radius of the estimated gains has limits at 95 %; the table says how often each end is on
the wrong side of the truth, beside the same for the percentiles of the resampled radii, and how
often P(ρ > 1) is above 0.95. Each end may be wrong in 2.5 % of runs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from fnmatch import fnmatchcase

import numpy as np
from scipy.stats import beta

from hartley.infotheory.loops import (
    dose_response,
    gain_matrix,
    loop_gain,
    spectral_radius,
    weakest_cut,
)

DOSES = (0.0, 0.1, 0.2, 0.4)
RECORDS = 64
RESAMPLES = 400


def straight(gain: float, dose: np.ndarray) -> np.ndarray:
    return gain * dose


def bent(gain: float, dose: np.ndarray) -> np.ndarray:
    """A response that saturates, of the same slope at 0."""
    return 1 - np.exp(-gain * dose)


def scaled(matrix: list[list[float]], radius: float) -> np.ndarray:
    g = np.array(matrix)
    return g * radius / loop_gain(g)


PAIR = [[0.0, 0.9], [0.6, 0.0]]
THREE = [[0.0, 0.9, 0.2], [0.6, 0.0, 0.1], [0.3, 0.4, 0.0]]
FOUR = [[0.1, 0.5, 0.0, 0.2], [0.0, 0.2, 0.6, 0.0], [0.4, 0.0, 0.1, 0.5], [0.3, 0.2, 0.0, 0.0]]
CASES: dict[str, tuple[np.ndarray, Callable[[float, np.ndarray], np.ndarray]]] = {
    "2 assets, ρ 0.5": (scaled(PAIR, 0.5), straight),
    "2 assets, ρ 1": (scaled(PAIR, 1.0), straight),
    "2 assets, ρ 1.1": (scaled(PAIR, 1.1), straight),
    "3 assets, ρ 0.85": (np.array(THREE), straight),
    "3 assets, ρ 1": (scaled(THREE, 1.0), straight),
    "4 assets, ρ 1": (scaled(FOUR, 1.0), straight),
    "defective, ρ 0.5": (np.array([[0.5, 1.0], [0.0, 0.5]]), straight),
    "nearly defective, ρ 0.73": (np.array([[0.7, 1.0], [0.001, 0.7]]), straight),
    "cut, ρ 0": (np.array([[0.0, 0.8], [0.0, 0.0]]), straight),
    "nothing, ρ 0": (np.zeros((2, 2)), straight),
    "bent, 2 assets, ρ 1": (scaled(PAIR, 1.0), bent),
    "bent, 3 assets, ρ 1": (scaled(THREE, 1.0), bent),
}


def simulated(
    gain: float,
    law: Callable[[float, np.ndarray], np.ndarray],
    clusters: int,
    rng: np.random.Generator,
    *,
    made: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]:
    """Doses, responses and clusters of one edge; what was read of doses that were made."""
    dose = np.tile(DOSES, clusters)
    cluster = np.repeat(np.arange(clusters), len(DOSES))
    level = np.clip(rng.normal(0.05, 0.02, clusters), 0, 1)[cluster]
    slope = gain * rng.gamma(16.0, 1 / 16.0, clusters)[cluster]  # victims differ by a quarter
    met = dose * rng.gamma(16.0, 1 / 16.0, clusters)[cluster] if made else dose
    share = np.clip(level + law(1.0, slope * met), 0, 1)
    read = rng.binomial(RECORDS, np.minimum(met, 1.0)) / RECORDS if made else None
    return dose, rng.binomial(RECORDS, share) / RECORDS, cluster, read


def run(name: str, clusters: int, runs: int, seed: int, *, line: bool, made: bool) -> str:
    truth, law = CASES[name]
    radius = loop_gain(truth)
    names = [f"asset {i}" for i in range(len(truth))]
    low = high = grows = plain_low = plain_high = right = 0
    widths, points = [], []
    falls = {}
    for i, j in np.argwhere(truth > 0):
        cut = truth.copy()
        cut[i, j] = 0.0
        falls[i, j] = loop_gain(cut)
    least = min(falls.values(), default=0.0)
    for k in range(runs):
        rng = np.random.default_rng([seed, clusters, k, *name.encode()])
        edges = {}
        for i, j in np.ndindex(*truth.shape):
            *table, read = simulated(truth[i, j], law, clusters, rng, made=made)
            edges[names[i], names[j]] = dose_response(
                *table,
                resamples=RESAMPLES,
                seed=int(rng.integers(2**31)),
                straight=line,
                read=read,
            )
        matrix = gain_matrix(names, edges)
        found = spectral_radius(matrix)
        low += found.low > radius + 1e-9
        high += found.high < radius - 1e-9
        grows += found.grows > 0.95
        radii = np.abs(np.linalg.eigvals(np.maximum(matrix.draws, 0))).max(-1)
        ends = np.quantile(radii, [0.025, 0.975])
        plain_low += ends[0] > radius
        plain_high += ends[1] < radius
        widths.append(found.high - found.low)
        points.append(found.value)
        edge = weakest_cut(matrix).edge
        if falls and edge is not None:
            at = names.index(edge[0]), names.index(edge[1])
            right += falls.get(at, radius) <= least + 1e-9
    n = runs
    return (
        f"| {name} | {clusters} | {n} | {np.mean(points):.3f} | {low / n:.3f} ({limits(low, n)}) | "
        f"{high / n:.3f} ({limits(high, n)}) | {np.median(widths):.3f} | {grows / n:.3f} | "
        f"{plain_low / n:.3f} | {plain_high / n:.3f} | {right / n:.2f} |"
    )


def limits(count: int, n: int) -> str:
    """Clopper–Pearson at 99 %."""
    low = 0.0 if count == 0 else beta.ppf(0.005, count, n - count + 1)
    high = 1.0 if count == n else beta.ppf(0.995, count + 1, n - count)
    return f"{low:.3f}–{high:.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=400)
    parser.add_argument("--only", default="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--clusters", default="8,16")
    parser.add_argument("--line", action="store_true", help="fit straight lines")
    parser.add_argument(
        "--made", action="store_true", help="doses are met in the mean, and read with an error"
    )
    options = parser.parse_args()
    print(
        "| loop | clusters an edge | runs | mean ρ̂ | low above ρ (99 %) | high below ρ (99 %) | "
        "width | P(ρ>1) > 0.95 | percentiles: low above | high below | right cut |"
    )
    print("|---|" + "---:|" * 10)
    for name in CASES:
        if fnmatchcase(name, options.only):
            for clusters in map(int, options.clusters.split(",")):
                row = run(
                    *(name, clusters, options.runs, options.seed),
                    line=options.line,
                    made=options.made,
                )
                print(row, flush=True)


if __name__ == "__main__":
    assert math.isclose(loop_gain(scaled(THREE, 1.0)), 1.0)
    main()

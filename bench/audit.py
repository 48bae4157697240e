"""ε, bits and one-run audits: Hartley beside a plain restatement of the published algorithms.

    python bench/audit.py [--peer PYTHON]

With ``--peer`` (an interpreter in whose environment jax-privacy==2.0.0 is installed) the package
itself is run on the same scores, and its Gaussian audit on identical laws beside ours.

The restatement of the ε audit is the algorithm of jax-privacy (Clopper–Pearson at every vertex of
the ROC's hull, error level divided by their number); that of the one-run audit is the listing in
arXiv:2305.08846. Both are written plainly with scipy.stats, as published.

Times are median processor seconds, one thread (jax-privacy's own: the best of three). Measured: E1
23 µs for bits and 93 µs for all six functionals; ε audit 0.20 ms for 2,000 scores, 0.76–0.83 ms for
100,000 on a quiet machine and 1.2 ms beside other work, split by secret, none sorted. About 25 s.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import stats

from hartley.channel.bounds import one_run_dp, two_rates
from hartley.channel.bounds.score_audit import certify_scores
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.core import ChannelSpec
from hartley.infotheory import binary_channel, surprisal

ALPHA = 0.05


def typical(job: Callable[[], object], runs: int = 21, loops: int = 1) -> float:
    """Processor seconds of a run, the median of several."""
    took = []
    for _ in range(runs):
        started = time.process_time()
        for _ in range(loops):
            job()
        took.append((time.process_time() - started) / loops)
    return float(np.median(took))


def epsilon_audit(positives: np.ndarray, negatives: np.ndarray, delta: float = 1e-5) -> float:
    """The ε of Hartley's reports, for scores already split by secret."""
    scores = ScorePair.split(positives, negatives)
    return certify_scores(scores, ChannelSpec(), delta=delta, of=("epsilon",))[0]["epsilon"]


def hull_epsilon(positives: np.ndarray, negatives: np.ndarray, delta: float) -> float:
    """Clopper–Pearson at the vertices of the ROC's upper hull, Bonferroni over their number."""
    n1, n0 = len(positives), len(negatives)
    cuts = np.unique(np.concatenate([positives, negatives]))[::-1]
    tp = n1 - np.searchsorted(np.sort(positives), cuts, side="left")
    fp = n0 - np.searchsorted(np.sort(negatives), cuts, side="left")
    hull: list[tuple[int, int]] = [(0, 0)]
    for x, y in zip(fp.tolist(), tp.tolist(), strict=True):
        while len(hull) > 1 and _turns_left(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    level = ALPHA / len(hull)
    found = 0.0
    for x, y in hull:
        low = stats.beta.ppf(level / 2, y, n1 - y + 1) if y else 0.0
        high = stats.beta.ppf(1 - level / 2, x + 1, n0 - x) if x < n0 else 1.0
        if low > delta and high > 0:
            found = max(found, math.log((low - delta) / high))
    return found


def _turns_left(a: tuple[int, int], b: tuple[int, int], c: tuple[int, int]) -> bool:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]) >= 0


def listed_p_value(m: int, r: int, v: int, eps: float, delta: float) -> float:
    """The p-value as the paper lists it."""
    q = 1 / (1 + math.exp(-eps))
    beta = stats.binom.sf(v - 1, r, q)
    alpha = total = 0.0
    for i in range(1, v + 1):
        total += stats.binom.pmf(v - i, r, q)
        alpha = max(alpha, total / i)
    return min(1.0, beta + alpha * delta * 2 * m)


def listed_epsilon(m: int, r: int, v: int, delta: float) -> float:
    low, high = 0.0, 10.0
    for _ in range(30):
        middle = (low + high) / 2
        if listed_p_value(m, r, v, middle, delta) < ALPHA:
            low = middle
        else:
            high = middle
    return low


def beside(peer: str) -> None:
    """Run jax-privacy on the same scores, in its own environment."""
    rng = np.random.default_rng(1)
    scores = {}
    for k, n in enumerate((1000, 50_000)):
        scores |= {f"in{k}": rng.normal(1.0, 1.0, n), f"out{k}": rng.normal(size=n)}
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "scores.npz", **scores)
        script = Path(__file__).parent / "peers" / "jax_audit.py"
        done = subprocess.run(
            [peer, str(script), str(Path(folder) / "scores.npz")],
            capture_output=True,
            text=True,
            check=True,
        )
    *rows, null = map(json.loads, done.stdout.splitlines())
    print("\njax-privacy 2.0.0 on the same scores")
    for k, row in enumerate(rows):
        pos, neg = scores[f"in{k}"], scores[f"out{k}"]
        mine = typical(lambda p=pos, q=neg: epsilon_audit(p, q), loops=5)
        print(
            f"{row['n']:>7} scores: {1e3 * mine:8.2f} ms, ε ≥ {epsilon_audit(pos, neg):.3f}; "
            f"jax-privacy {1e3 * row['seconds']:8.2f} ms, ε ≥ {row['epsilon']:.3f}; "
            f"{row['seconds'] / mine:.1f}×"
        )
    rng = np.random.default_rng(0)
    ours = [epsilon_audit(rng.normal(size=500), rng.normal(size=500)) for _ in range(null["draws"])]
    wrong = float(np.mean(np.array(ours) > 0))
    print(
        f"identical laws, {null['draws']} draws of 500 + 500: ε > 0 in {wrong:.0%}"
        f" of ours; in {null['null']:.0%} of its Gaussian audit (median ε {null['median']:.2f})"
    )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--peer", help="Python with jax-privacy==2.0.0")
    peer = options.parse_args().peer
    rng = np.random.default_rng(0)
    once = typical(lambda: two_rates.lower(150, 1000, 10, 1000, of=("bits",)), loops=200)
    every = typical(lambda: two_rates.lower(150, 1000, 10, 1000), loops=50)
    print(f"E1, one table: bits {1e6 * once:.0f} µs; all six functionals {1e6 * every:.0f} µs")
    print("\nε audit at μ = 1 (true ε at δ = 1e-5: 4.377), 8 declared levels, both directions")
    for n in (1000, 50_000):
        truth = np.repeat([0, 1], n)
        score = rng.normal(size=2 * n) + truth
        pos, neg = score[truth == 1], score[truth == 0]
        mine = typical(lambda p=pos, q=neg: epsilon_audit(p, q), loops=5)
        theirs = typical(lambda p=pos, q=neg: hull_epsilon(p, q, 1e-5), 3)
        print(
            f"{2 * n:>7} scores: {1e3 * mine:8.2f} ms, "
            f"ε ≥ {epsilon_audit(pos, neg):.3f}"
            f"; hull with Clopper–Pearson {1e3 * theirs:8.2f} ms, "
            f"ε ≥ {hull_epsilon(pos, neg, 1e-5):.3f}; {theirs / mine:.1f}×"
        )
    print("\none-run audit, m = 1000, 200 guesses, 160 right")
    for delta in (0.0, 1e-5):
        mine = typical(lambda d=delta: one_run_dp.epsilon_lower(1000, 200, 160, ALPHA, d))
        theirs = typical(lambda d=delta: listed_epsilon(1000, 200, 160, d), 2)
        print(
            f"δ = {delta:g}: {1e3 * mine:7.2f} ms, ε ≥ "
            f"{one_run_dp.epsilon_lower(1000, 200, 160, ALPHA, delta):.6f}; as listed "
            f"{1e3 * theirs:8.2f} ms, ε ≥ {listed_epsilon(1000, 200, 160, delta):.6f}; "
            f"{theirs / mine:.1f}×"
        )
    print("\nlimits of a rate, and surprisal")
    mine = typical(lambda: binary_channel.rate_low(150.0, 1000.0, 0.025), loops=500)
    theirs = typical(lambda: stats.beta.ppf(0.025, 150, 851), loops=100)
    print(f"one exact limit: {1e6 * mine:.1f} µs; scipy.stats.beta.ppf {1e6 * theirs:.1f} µs")
    for k, n in ((620, 1000), (620_000, 1_000_000)):
        found = surprisal.log2_binomial_tail(k, n, 0.5)
        took = typical(lambda k=k, n=n: surprisal.log2_binomial_tail(k, n, 0.5), loops=50)
        print(f"log2 P(Bin({n}, ½) ≥ {k}) = {found:.4f}: {1e6 * took:.1f} µs")
    if peer:
        beside(peer)


if __name__ == "__main__":
    main()

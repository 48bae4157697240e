"""ROC, AUC, TPR at an FPR, and the whole score report: Hartley beside scikit-learn.

    python bench/roc.py [--n 100000]

The same scores for all, one thread. Times are median processor seconds. The bootstraps of others
are timed on fewer replicates and multiplied up (said in the line). About 15 s.

Measured (100,000 scores): AUC with interval 10 ms, three bootstraps 4.6 ms on a quiet machine and
6.0–6.5 ms beside other work (sorting both sides, as before, takes 3.5 ms of that alone),
the whole report 17 ms.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
from sklearn.metrics import roc_auc_score, roc_curve

from hartley.channel.bounds.score_audit import certify_scores
from hartley.channel.measure import measure
from hartley.channel.scores import roc
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.channel.scores.thresholds import folds, tabulate
from hartley.core import ChannelSpec, Trials


def typical(job: Callable[[], object], runs: int = 31) -> float:
    """Processor seconds of a run, the median of several."""
    took = []
    for _ in range(runs):
        started = time.process_time()
        job()
        took.append(time.process_time() - started)
    return float(np.median(took))


def line(what: str, mine: float, theirs: float | None = None, who: str = "") -> None:
    ratio = f"{theirs / mine:10.1f}×  {1e3 * theirs:12.2f} ms  {who}" if theirs else ""
    print(f"{what:<46} {1e3 * mine:10.3f} ms {ratio}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    n = parser.parse_args().n
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, n)
    score = rng.normal(size=n) + truth
    scores = ScorePair.of(truth, score)
    scores.sort()
    spec = ChannelSpec()
    print(f"{n} scores; last columns: the other tool's time and how many times ours it is")

    found = roc.area(scores).interval(0.05)
    assert abs(found.value - roc_auc_score(truth, score)) < 1e-12
    line(
        "AUC with DeLong interval, from raw scores",
        typical(lambda: roc.area(ScorePair.of(truth, score)).interval(0.05)),
        typical(lambda: roc_auc_score(truth, score)),
        "roc_auc_score, no interval",
    )
    line(
        "ROC, 200 points, from raw scores",
        typical(lambda: roc.curve(ScorePair.of(truth, score))),
        typical(lambda: roc_curve(truth, score)),
        "roc_curve",
    )

    levels = (0.001, 0.01, 0.1)

    def exact() -> None:
        ready = ScorePair.of(truth, score)
        for level in levels:
            roc.tpr_at_fpr(ready, level, rng)

    def with_sklearn(replicates: int) -> None:
        for _ in range(replicates):
            rows = rng.integers(0, n, n)
            fpr, tpr, _ = roc_curve(truth[rows], score[rows])
            np.interp(levels, fpr, tpr)

    def with_partition(replicates: int) -> None:
        pos, neg = scores.positives.values, scores.negatives.values
        for level in levels:
            j = int(level * len(neg))
            for _ in range(replicates):
                cut = np.partition(rng.choice(neg, len(neg)), len(neg) - 1 - j)[len(neg) - 1 - j]
                (rng.choice(pos, len(pos)) > cut).mean()

    mine = typical(exact)
    few = 5
    line(
        "10,000 bootstraps of TPR at 3 FPRs, raw scores",
        mine,
        typical(lambda: with_sklearn(few), 2) * 10_000 / few,
        f"roc_curve in a loop ({few} replicates, ×{10_000 // few})",
    )
    line(
        "",
        mine,
        typical(lambda: with_partition(few), 2) * 10_000 / few,
        f"numpy partition in a loop ({few} replicates, ×{10_000 // few})",
    )

    def report() -> None:
        ready = ScorePair.of(truth, score)
        ready.sort()
        tabulate(truth, score, folds(n, None, rng), ready, spec)
        certify_scores(ready, spec)
        roc.area(ready).interval(0.05)
        roc.curve(ready)
        for level in levels:
            roc.tpr_at_fpr(ready, level, rng)

    line("E1 + E3 report: bits, ε, μ, AUC, TPR, curve", typical(report))
    line(
        "measure(), null arm and leakage included",
        typical(lambda: measure(Trials(spec, truth, score)), 3),
    )


if __name__ == "__main__":
    main()

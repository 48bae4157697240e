"""Usual metrics beside the bits: TPR at an FPR, advantage over clusters, exposure of few ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator

import coverage_laws as laws
import numpy as np
from coverage_cases import Case, Ends
from coverage_guesses import rank_law
from coverage_rows import Rng
from scipy.special import ndtr, ndtri

from hartley.channel.readouts.rank import measure_rank
from hartley.channel.readouts.score import advantage_limits
from hartley.channel.scores import roc
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.channel.scores.thresholds import best_rule, folds, tabulate
from hartley.core import AnswerForm, ChannelSpec

Array = np.ndarray


def ends_of(metric: dict[str, float]) -> Ends:
    return Ends(metric["low"], metric["value"], metric["high"])


def read_tpr(distance: float, level: float, n: int, m: int, rng: Rng) -> Ends:
    secret = rng.permutation(np.arange(n) % 2)
    score = rng.normal(size=n) + distance * secret
    if m:
        cluster = np.arange(n) * m // n
        return ends_of(roc.clustered_tpr(secret, score, cluster, level).document())
    scores = ScorePair.of(secret, score)
    scores.sort()
    return ends_of(roc.tpr_at_fpr(scores, level, rng, replicates=2000).document())


def read_advantage(law: laws.Clusters, rng: Rng) -> Ends:
    """As ``measure_score`` does: the best of the declared levels, with t limits over clusters."""
    secret, score, cluster = law.draw(rng)
    spec = ChannelSpec(clustered=True)
    scores = ScorePair.of(secret, score)
    scores.sort()
    rules = tabulate(secret, score, folds(len(secret), cluster, rng), scores, spec)
    best = best_rule(rules, secret, score, cluster, spec.alpha)
    low, high = advantage_limits(best, cluster, scores, spec.alpha)
    value = best.advantage
    low = min(low, value)
    return Ends(low, max(value, low), max(high, value))


def declared_advantage(distance: float) -> float:
    """The largest gap at a declared level, of a shift."""
    levels = np.array(ChannelSpec().levels)
    return float((ndtr(ndtri(levels) + distance) - levels).max())


def read_exposure(law: Array, n: int, m: int, rng: Rng) -> Ends:
    rank = np.minimum(np.searchsorted(law.cumsum(), rng.random(n)) + 1, len(law))
    cluster = np.arange(n) * m // n if m else None
    spec = ChannelSpec(form=AnswerForm.RANK, alphabet=len(law), clustered=m > 0)
    return ends_of(measure_rank(rank, cluster, spec, rng).metrics["exposure"])


def metrics() -> Iterator[Case]:
    """Usual metrics; low, point and high are of the metric."""
    yield from rates()
    yield from advantages()
    yield from exposures()


def rates() -> Iterator[Case]:
    for distance in (0.0, 1.0, 2.0):
        for level in (0.001, 0.01):
            truth = float(ndtr(ndtri(level) + distance))
            for n in (300, 1000, 2000, 10_000):
                for m in (0, 20):
                    yield Case(
                        f"TPR at FPR {level:.1%}, shift {distance:g}, n={n}"
                        + (f", m={m}" if m else ""),
                        truth,
                        lambda rng, a=distance, f=level, n=n, m=m: read_tpr(a, f, n, m, rng),
                        300,
                    )


def advantages() -> Iterator[Case]:
    for m, size in ((8, 16), (8, 64), (20, 16), (20, 64), (20, 200)):
        for balanced in (False, True):
            for distance, icc in ((0.0, 0.0), (0.0, 0.5), (1.0, 0.0), (1.0, 0.5)):
                law = laws.alike(m, size, icc, balanced, distance)
                yield Case(
                    f"advantage, {law.name}",
                    declared_advantage(distance * math.sqrt(1 - icc)),
                    lambda rng, law=law: read_advantage(law, rng),
                    300,
                )


def exposures() -> Iterator[Case]:
    for name in ("uniform", "∝ 1/rank"):
        for candidates in (50, 10_000):
            law = rank_law(name, candidates)
            mean = float(law @ -np.log2(np.arange(1, candidates + 1) / candidates))
            for n, m in ((2, 0), (4, 0), (8, 0), (16, 0), (64, 0), (32, 4), (64, 8)):
                yield Case(
                    f"exposure, {name}, R={candidates}, n={n}" + (f", m={m}" if m else ""),
                    mean,
                    lambda rng, law=law, n=n, m=m: read_exposure(law, n, m, rng),
                    300,
                )

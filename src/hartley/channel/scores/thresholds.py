"""The rules that read a bit off a score, and which of them is best.

A rule is a direction and a declared false-positive level, realised as an order statistic of the
measured negatives (``roc.places``). The best one is chosen by cross-fitting, so that trying
several does not inflate the point estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import cluster_code, profile_likelihood
from hartley.channel.scores import roc
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.core import ChannelSpec
from hartley.infotheory import binary_channel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LN2 = math.log(2.0)
FORWARD = 0.9
"""Share of alpha for the declared direction; the rest is spent on the reverse direction."""
FOLDS = 5


@dataclass(frozen=True, slots=True)
class DeclaredRules:
    """The ways to read one bit off a score, fixed before the measurement.

    Attributes:
        cut: (rules,) thresholds: the first half flags what lies strictly above, the others what
            lies strictly below.
        reverse: (rules,) whether low scores are flagged.
        claimed: (rules,) false positives that a rule is charged with: j − 1 for an order statistic;
            None where the score takes two values only, and observed false positives count.
        alpha: (rules,) share of the error level.
    """

    cut: Array
    reverse: NDArray[np.bool_]
    claimed: Array | None
    alpha: Array


@dataclass(frozen=True, slots=True)
class Rules:
    """The counts of each declared rule.

    Attributes:
        cut: (rules,) thresholds, as of ``DeclaredRules``.
        reverse: (rules,) whether low scores are flagged.
        tp, fp: (rules, folds) flagged uses of secret 1 and 0.
        ones, zeros: (folds,) uses of each.
    """

    cut: Array
    reverse: NDArray[np.bool_]
    tp: Array
    fp: Array
    ones: Array
    zeros: Array

    def flagged(self, score: Array, rule: int) -> NDArray[np.bool_]:
        """Return which rows a rule flags."""
        cut = self.cut[rule]
        return np.asarray(score < cut if self.reverse[rule] else score > cut)


def folds(n: int, cluster: Whole | None, rng: np.random.Generator) -> Whole:
    """Return the fold of each row: whole clusters where there are several, else at random."""
    if cluster is not None and cluster.max() > 0:
        return np.asarray(cluster % FOLDS)
    return rng.integers(0, FOLDS, n)


def declare(scores: ScorePair, spec: ChannelSpec) -> DeclaredRules:
    """Return the rules that the declared levels mean on these scores, in both directions."""
    claimed = None
    if scores.two_valued():
        # No threshold to choose: the channel is binary already.
        cut, k = np.array(scores.ends()), 1
    else:
        n0 = len(scores.negatives)
        j = roc.places(spec.levels, n0)
        cut, k = scores.negatives.at(np.concatenate([n0 - j, j - 1])), len(j)
        claimed = np.concatenate([j - 1, j - 1]).astype(float)
    alpha = np.repeat([FORWARD / k, (1 - FORWARD) / k], k) * spec.alpha
    return DeclaredRules(cut, np.repeat([False, True], k), claimed, alpha)


def tabulate(
    truth: Whole, score: Array, fold: Whole, scores: ScorePair, spec: ChannelSpec
) -> Rules:
    """Return the declared rules with their counts, by fold."""
    rules = declare(scores, spec)
    k = len(rules.cut) // 2
    f1 = _counts(truth, score, fold, rules.cut[:k])
    f0 = _counts(truth, -score, fold, -rules.cut[k:])
    return Rules(
        cut=rules.cut,
        reverse=rules.reverse,
        tp=np.concatenate([f1[1], f0[1]]),
        fp=np.concatenate([f1[0], f0[0]]),
        ones=np.bincount(fold[truth == 1], minlength=FOLDS).astype(float),
        zeros=np.bincount(fold[truth == 0], minlength=FOLDS).astype(float),
    )


def _counts(truth: Whole, score: Array, fold: Whole, cuts: Array) -> NDArray[np.float64]:
    """Return counts (2, cuts, folds) of rows of secret 0 and 1 strictly above each cut."""
    order = np.argsort(cuts)
    passed = np.searchsorted(cuts[order], score, side="left")
    k = len(cuts) + 1
    table = np.bincount((truth * k + passed) * FOLDS + fold, minlength=2 * k * FOLDS)
    above = table.reshape(2, k, FOLDS)[:, ::-1].cumsum(1)[:, ::-1][:, 1:]
    out = np.empty(above.shape)
    out[:, order] = above
    return out


@dataclass(frozen=True, slots=True)
class Best:
    """The best rule: cross-fitted bits and advantage, plug-in bits, calibrated limits.

    Attributes:
        rule: its index.
        point, raw: bias-corrected and plug-in bits per use.
        low, high: calibrated limits of the bits.
        a, b: its rates.
        advantage: |a − b|, each fifth of the uses read by the rule that is best in the others.
        spread: its standard error, over clusters where there are any.
        units: clusters, 0 when rows are independent.
    """

    rule: int
    point: float
    raw: float
    low: float
    high: float
    a: float
    b: float
    advantage: float
    spread: float
    units: int


def best_rule(
    rules: Rules, truth: Whole, score: Array, cluster: Whole | None, alpha: float | None
) -> Best:
    """Return the rule with the most bits, and what it yields by cross-fitting.

    Args:
        rules: the declared rules and their counts.
        truth, score, cluster: the trials.
        alpha: error of each calibrated limit; None leaves the limits at 0 and 1 bit.
    """
    n1, n0 = float(rules.ones.sum()), float(rules.zeros.sum())
    tp, fp = rules.tp.sum(1), rules.fp.sum(1)
    every = binary_channel.bits(tp / n1, fp / n0)
    rule = int(every.argmax())
    # Each fold is read by the rule that the other folds prefer.
    left1, left0 = np.maximum(n1 - rules.ones, 1.0), np.maximum(n0 - rules.zeros, 1.0)
    a_left, b_left = (tp[:, None] - rules.tp) / left1, (fp[:, None] - rules.fp) / left0
    chosen, fold = binary_channel.bits(a_left, b_left).argmax(0), np.arange(FOLDS)
    apart = np.abs(a_left - b_left).argmax(0)
    turn = np.sign((a_left - b_left)[apart, fold])
    gaps = turn * (rules.tp[apart, fold] / n1 - rules.fp[apart, fold] / n0)
    wide1, wide0, units = _design(rules.flagged(score, rule), truth, cluster)
    e1, e0 = n1 / wide1, n0 / wide0
    low, high = 0.0, 1.0
    if alpha is not None:
        low, high = profile_likelihood.bits_interval(
            tp[rule] / wide1, e1, fp[rule] / wide0, e0, alpha=alpha, clusters=units
        )
    a, b, share = float(tp[rule] / n1), float(fp[rule] / n0), 1.0 - 1.0 / FOLDS
    point = _held_out(rules, chosen) + plug_in_bias(a, b, share * e1, share * e0)
    return Best(
        rule=rule,
        point=max(0.0, point),
        raw=float(every[rule]),
        low=low,
        high=high,
        a=a,
        b=b,
        advantage=max(0.0, float(gaps.sum())),
        spread=_spread_of_gap(rules, (apart, turn), truth, score, cluster),
        units=units,
    )


def _design(flag: Any, truth: Whole, cluster: Whole | None) -> tuple[float, float, int]:
    """Design effects of both rates, and the number of clusters."""
    if cluster is None or cluster.max() == 0:
        return 1.0, 1.0, 0 if cluster is None else 1
    is_positive = truth == 1
    by = [
        cluster_code.grouped(v, cluster)
        for v in (flag & is_positive, is_positive, flag & ~is_positive, ~is_positive)
    ]
    wide1, wide0 = (
        profile_likelihood.design_effect(by[0], by[1]),
        profile_likelihood.design_effect(by[2], by[3]),
    )
    return wide1, wide0, int(cluster.max()) + 1


def _spread_of_gap(
    rules: Rules, how: tuple[Whole, Array], truth: Whole, score: Array, cluster: Whole | None
) -> float:
    """Standard error of the cross-fitted advantage, from rows or from clusters."""
    chosen, turn = how
    n1, n0 = float(rules.ones.sum()), float(rules.zeros.sum())
    if cluster is None:
        fold = np.arange(FOLDS)
        a, b = rules.tp[chosen, fold].sum() / n1, rules.fp[chosen, fold].sum() / n0
        return math.sqrt(a * (1 - a) / n1 + b * (1 - b) / n0)
    m = int(cluster.max()) + 1
    if m < 2:
        return 0.0
    fold = cluster % FOLDS
    flag = np.empty(len(score), bool)
    for k in range(FOLDS):
        flag[fold == k] = rules.flagged(score[fold == k], int(chosen[k]))
    sign = turn[fold]
    rates = [float((sign * flag)[truth == s].mean()) for s in (0, 1)]
    part = np.where(truth == 1, 1.0 / n1, -1.0 / n0) * (sign * flag - np.take(rates, truth))
    sums = cluster_code.grouped(part, cluster)
    return math.sqrt(float((sums**2).sum()) * m / (m - 1))


def _held_out(rules: Rules, chosen: Whole) -> float:
    """Mean log2 likelihood ratio at the uniform prior of each fold under the others' channel."""
    total = 0.0
    counts = ((rules.tp, rules.ones), (rules.fp, rules.zeros))
    for fold, rule in enumerate(chosen):
        # Krichevsky–Trofimov's ½ keeps an outcome absent from the other folds from costing
        # infinity.
        rate = [
            (c[rule].sum() - c[rule, fold] + 0.5) / (size.sum() - size[fold] + 1.0)
            for c, size in counts
        ]
        middle = (rate[0] + rate[1]) / 2
        for (c, size), p in zip(counts, rate, strict=True):
            hit = c[rule, fold]
            log_ratio = hit * math.log2(p / middle)
            log_ratio += (size[fold] - hit) * math.log2((1 - p) / (1 - middle))
            total += log_ratio / size.sum() / 2
    return total


def plug_in_bias(a: float, b: float, n1: float, n0: float) -> float:
    """Return how much the plug-in bits of a 2×2 channel exceed the truth on average (2nd order)."""
    middle = (a + b) / 2
    if not 0.0 < middle < 1.0:
        return 0.0
    apart = (0.0 < a < 1.0) / (4 * n1) + (0.0 < b < 1.0) / (4 * n0)
    together = (a * (1 - a) / n1 + b * (1 - b) / n0) / (8 * middle * (1 - middle))
    return (apart - together) / LN2

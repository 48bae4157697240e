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
class Gap:
    """A difference of the rates of two secrets, a − b.

    Attributes:
        value: the difference.
        spread: its standard error, over clusters where there are any.
        units: clusters; 0 when rows are independent.
    """

    value: float
    spread: float
    units: int


@dataclass(frozen=True, slots=True)
class Best:
    """The best rule: cross-fitted bits and advantage, plug-in bits, calibrated limits.

    Attributes:
        rule: its index.
        point, raw: bias-corrected and plug-in bits per use.
        high: calibrated upper limit of the bits.
        a, b: its rates.
        advantage: |a − b|, each fifth of the uses read by the rule that is best in the others.
        held_out: the gap of uses that are read by the rule that is best in the fifths *before*.
        largest: the largest gap on the sample, over all rules.
        units: clusters, 0 when rows are independent.
    """

    rule: int
    point: float
    raw: float
    high: float
    a: float
    b: float
    advantage: float
    held_out: Gap
    largest: Gap
    units: int


def best_rule(
    rules: Rules, truth: Whole, score: Array, cluster: Whole | None, alpha: float | None
) -> Best:
    """Return the rule with the most bits, and what it yields by cross-fitting.

    Args:
        rules: the declared rules and their counts.
        truth, score, cluster: the trials.
        alpha: error of the calibrated limit; None leaves it at 1 bit.
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
    high = 1.0
    if alpha is not None:
        _, high = profile_likelihood.bits_interval(
            tp[rule] / wide1, e1, fp[rule] / wide0, e0, alpha=alpha, clusters=units
        )
    a, b, share = float(tp[rule] / n1), float(fp[rule] / n0), 1.0 - 1.0 / FOLDS
    point = _held_out(rules, chosen) + plug_in_bias(a, b, share * e1, share * e0)
    return Best(
        rule=rule,
        point=max(0.0, point),
        raw=float(every[rule]),
        high=high,
        a=a,
        b=b,
        advantage=max(0.0, float(gaps.sum())),
        held_out=_gap_from_earlier(rules, truth, score, cluster),
        largest=_largest_gap(rules, truth, score, cluster),
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


def _gap(flag: Array, truth: Whole, cluster: Whole | None) -> Gap:
    """Return the gap of signed flags, with its linearised error.

    Args:
        flag: (n,) 1 or −1 where a rule flags a row, by the direction of the gap, else 0.
        truth, cluster: of these rows.
    """
    number = np.bincount(truth, minlength=2)
    if number.min() == 0:
        return Gap(0.0, 0.0, 1)
    rate = np.bincount(truth, weights=flag, minlength=2) / number
    part = np.where(truth == 1, 1.0, -1.0) / number[truth] * (flag - rate[truth])
    value = float(rate[1] - rate[0])
    if cluster is None:
        return Gap(value, math.sqrt(float((part**2).sum())), 0)
    m = len(np.unique(cluster))
    if m < 2:
        return Gap(value, 0.0, m)
    squares = float((cluster_code.grouped(part, cluster) ** 2).sum())
    return Gap(value, math.sqrt(squares * m / (m - 1)), m)


def _largest_gap(rules: Rules, truth: Whole, score: Array, cluster: Whole | None) -> Gap:
    gaps = rules.tp.sum(1) / rules.ones.sum() - rules.fp.sum(1) / rules.zeros.sum()
    best = int(np.abs(gaps).argmax())
    return _gap(np.sign(gaps[best]) * rules.flagged(score, best), truth, cluster)


def _gap_from_earlier(rules: Rules, truth: Whole, score: Array, cluster: Whole | None) -> Gap:
    """Return the gap of each fifth but the first, read by the rule that is best in those before.

    A cross-fitted gap is not a mean of independent parts where nothing leaks: the folds agree on a
    direction when all lean to it, so that its tail is that of the two-sided gap. Rules that are
    learned from what came before give differences of a martingale.
    """
    if cluster is None:
        return Gap(0.0, 0.0, 0)  # independent rows have a certified bound
    fold = cluster % FOLDS
    tp, fp = rules.tp.cumsum(1), rules.fp.cumsum(1)
    ones, zeros = (np.maximum(side.cumsum(), 1.0) for side in (rules.ones, rules.zeros))
    gaps = tp / ones - fp / zeros
    flag = np.zeros(len(score))
    for k in range(1, FOLDS):
        rule = int(np.abs(gaps[:, k - 1]).argmax())
        rows = fold == k
        flag[rows] = np.sign(gaps[rule, k - 1]) * rules.flagged(score[rows], rule)
    later = fold > 0
    return _gap(flag[later], truth[later], cluster[later])


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

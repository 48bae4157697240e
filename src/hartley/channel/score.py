"""The SCORE wire: a real number about a secret bit → bits at pre-declared levels.

The score channel is used through one of the declared false-positive levels, realised as order
statistics of the measured negatives (``roc.places``). Which level is best is settled by
cross-fitting, so that looking at several does not flatter the point; the certified bound pays for
all of them, in both directions, by Bonferroni (90 % of alpha for the declared direction).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel import binary, clusters, onerun, profile, roc
from hartley.channel.reading import Reading
from hartley.channel.surprisal import certificate
from hartley.core import ChannelSpec, Kind, Quantity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LN2 = math.log(2.0)
FORWARD = 0.9
"""Share of alpha for the declared direction; the rest pays for looking the other way."""
FOLDS = 5
DELTA = 1e-5
GUESSED = (0.02, 0.1, 0.4, 1.0)
"""Shares of the canaries that the one-run test guesses, the most extreme scores first."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The ways to read one bit off a score, fixed before the measurement, and what each gave.

    Attributes:
        cut: (rules,) thresholds: flag what lies strictly above, or below where ``reverse``.
        reverse: (rules,) whether low scores are flagged.
        tp, fp: (rules, folds) flagged uses of secret 1 and 0.
        ones, zeros: (folds,) uses of each.
        claimed: (rules,) false positives to hold against the rule: j − 1 for an order statistic.
        alpha: (rules,) share of the error level.
    """

    cut: Array
    reverse: NDArray[np.bool_]
    tp: Array
    fp: Array
    ones: Array
    zeros: Array
    claimed: Array
    alpha: Array

    def flagged(self, score: Array, rule: int) -> NDArray[np.bool_]:
        """Which rows a rule flags."""
        cut = self.cut[rule]
        return np.asarray(score < cut if self.reverse[rule] else score > cut)


def measure_score(
    truth: Whole,
    score: Array,
    cluster: Whole | None,
    spec: ChannelSpec,
    rng: np.random.Generator,
    *,
    full: bool = True,
) -> Reading:
    """Measure scores about secret bits.

    Args:
        truth: (n,) secret bits, both present.
        score: (n,) finite scores, larger = more like 1.
        cluster: (n,) integers 0..m−1 when rows of one cluster are dependent, else None.
        spec: the declaration.
        rng: for folds and bootstrap draws.
        full: False leaves out the usual metrics, the curve and the leakage (null arm).
    """
    scores = roc.Sorted.of(truth, score)
    rules = _rules(truth, score, _folds(len(truth), cluster, rng), scores, spec)
    best = _best(rules, truth, score, cluster)
    if cluster is None:
        certified, method, assumed = _certify_rows(rules, spec)
    else:
        certified, method, assumed = _certify_clusters(truth, score, cluster, spec)
    lower = certified["bits"]
    reading = Reading(best.point, best.raw, lower, best.high, best.low, method, assumed)
    if not full:
        return reading
    signal, noise = roc.signal_noise(scores)
    capacity = None
    if cluster is None:
        capacity = Quantity(
            "capacity",
            max(certified["capacity"], float(binary.capacity(*sorted((best.a, best.b))))),
            unit="bit/use",
            lower=certified["capacity"],
            kind=Kind.CERTIFIED,
            alpha=spec.alpha,
            n=len(truth),
            method=method,
        )
    return replace(
        reading,
        leakage=_leakage(truth, score, cluster, spec),
        capacity=capacity,
        signal=signal,
        noise=noise,
        usual=_usual(truth, score, cluster, spec, scores, rng, best, certified),
        curve=roc.curve(scores),
    )


def _folds(n: int, cluster: Whole | None, rng: np.random.Generator) -> Whole:
    if cluster is not None and cluster.max() > 0:
        return np.asarray(cluster % FOLDS)
    return rng.integers(0, FOLDS, n)


def _rules(truth: Whole, score: Array, fold: Whole, scores: roc.Sorted, spec: ChannelSpec) -> Rules:
    least = min(scores.positives[0], scores.negatives[0])
    most = max(scores.positives[-1], scores.negatives[-1])
    if _two_valued(scores, least, most):
        # No threshold to choose: the channel is binary as it stands.
        up, down, order_statistic = np.array([least]), np.array([most]), False
    else:
        j = roc.places(spec.levels, len(scores.negatives))
        up, down = scores.negatives[-j], scores.negatives[j - 1]
        order_statistic = True
    f1 = _counts(truth, score, fold, up)
    f0 = _counts(truth, -score, fold, -down)
    tp, fp = np.concatenate([f1[1], f0[1]]), np.concatenate([f1[0], f0[0]])
    k = len(up)
    return Rules(
        cut=np.concatenate([up, down]),
        reverse=np.repeat([False, True], k),
        tp=tp,
        fp=fp,
        ones=np.bincount(fold[truth == 1], minlength=FOLDS).astype(float),
        zeros=np.bincount(fold[truth == 0], minlength=FOLDS).astype(float),
        claimed=np.concatenate([j - 1, j - 1]).astype(float) if order_statistic else fp.sum(1),
        alpha=np.repeat([FORWARD / k, (1 - FORWARD) / k], k) * spec.alpha,
    )


def _two_valued(scores: roc.Sorted, least: float, most: float) -> bool:
    inside = 0
    for column in (scores.positives, scores.negatives):
        inside += int(np.searchsorted(column, most) - np.searchsorted(column, least, "right"))
    return inside <= 0


def _counts(truth: Whole, score: Array, fold: Whole, cuts: Array) -> NDArray[np.float64]:
    """(2, cuts, folds): rows of secret 0 and 1 strictly above each cut."""
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
    """The best rule: cross-fitted point, plug-in, calibrated limits, and its rates."""

    rule: int
    point: float
    raw: float
    low: float
    high: float
    a: float
    b: float
    spread: float


def _best(rules: Rules, truth: Whole, score: Array, cluster: Whole | None) -> Best:
    n1, n0 = rules.ones.sum(), rules.zeros.sum()
    tp, fp = rules.tp.sum(1), rules.fp.sum(1)
    every = binary.bits(tp / n1, fp / n0)
    rule = int(every.argmax())
    # Each fold is read by the rule that the other folds prefer.
    left1, left0 = np.maximum(n1 - rules.ones, 1.0), np.maximum(n0 - rules.zeros, 1.0)
    others = binary.bits((tp[:, None] - rules.tp) / left1, (fp[:, None] - rules.fp) / left0)
    chosen, folds = others.argmax(0), np.arange(FOLDS)
    a = float(rules.tp[chosen, folds].sum() / n1)
    b = float(rules.fp[chosen, folds].sum() / n0)
    flag = rules.flagged(score, rule)
    wide1, wide0, units = 1.0, 1.0, 0
    if cluster is not None and cluster.max() > 0:
        one = truth == 1
        units = int(cluster.max()) + 1
        by = [clusters.grouped(v, cluster) for v in (flag & one, one, flag & ~one, ~one)]
        wide1, wide0 = profile.design_effect(by[0], by[1]), profile.design_effect(by[2], by[3])
    e1, e0 = n1 / wide1, n0 / wide0
    low, high = profile.bits_interval(
        tp[rule] / wide1, e1, fp[rule] / wide0, e0, alpha=0.05, clusters=units
    )
    point = float(binary.bits(a, b)) - plug_in_bias(a, b, e1, e0)
    spread = math.sqrt(max(a * (1 - a) / e1 + b * (1 - b) / e0, 1e-12))
    return Best(rule, max(0.0, point), float(every[rule]), low, high, a, b, spread)


def plug_in_bias(a: float, b: float, n1: float, n0: float) -> float:
    """Return how much the plug-in bits of a 2×2 channel exceed the truth on average (2nd order)."""
    middle = (a + b) / 2
    if not 0.0 < middle < 1.0:
        return 0.0
    apart = (0.0 < a < 1.0) / (4 * n1) + (0.0 < b < 1.0) / (4 * n0)
    together = (a * (1 - a) / n1 + b * (1 - b) / n0) / (8 * middle * (1 - middle))
    return (apart - together) / LN2


def _certify_rows(rules: Rules, spec: ChannelSpec) -> tuple[dict[str, float], str, tuple[str, ...]]:
    tp, n1, n0 = rules.tp.sum(1), rules.ones.sum(), rules.zeros.sum()
    best = dict.fromkeys(binary.FUNCTIONALS, 0.0)
    for share in np.unique(rules.alpha):
        here = rules.alpha == share
        found = binary.lower(
            tp[here], n1, rules.claimed[here], n0, float(share), delta=_delta(spec)
        )
        best = {name: max(value, float(found[name].max())) for name, value in best.items()}
    rule = "two-valued score" if len(tp) == 2 else f"{len(tp) // 2} pre-declared levels"
    assumed = ["uses independent given their secrets"]
    if len(tp) == 2:
        assumed.append("the score takes two values only")
    return best, f"Fisher product over {rule}, both directions", tuple(assumed)


def _certify_clusters(
    truth: Whole, score: Array, cluster: Whole, spec: ChannelSpec
) -> tuple[dict[str, float], str, tuple[str, ...]]:
    shuffled = exchangeable(truth, cluster, spec)
    gain = clusters.score_gains(truth, score, cluster, exchangeable=shuffled, ranges=False)
    m = int(cluster.max()) + 1
    assumed = (
        "secrets shuffled within each cluster" if shuffled else "secrets are the auditor's coins",
        "clusters independent, or of equal expected information given those before",
        "bits of all answers of a cluster about all its secrets, divided by its uses",
        *(("one cluster: worth about alpha times its gain; see leakage",) if m == 1 else ()),
    )
    bound = clusters.certify(gain, np.bincount(cluster).astype(float), spec.alpha)
    return {"bits": bound}, f"mixture code and betting over {m} clusters", assumed


def exchangeable(truth: Whole, cluster: Whole, spec: ChannelSpec) -> bool:
    """Whether secrets must be taken as shuffled: not planted by coins, or balanced by design."""
    ones = np.bincount(cluster, weights=truth)
    return not spec.planted or (np.bincount(cluster).max() > 1 and bool((ones == ones[0]).all()))


def _leakage(truth: Whole, score: Array, cluster: Whole | None, spec: ChannelSpec) -> Quantity:
    # Under any fixed answers the likelihood ratio has mean 1 over the coins: an e-value, whose
    # reciprocal is a p-value in the sense of E4.
    where = np.zeros(len(truth), np.int64) if cluster is None else cluster
    gain = clusters.score_gains(
        truth, score, where, exchangeable=exchangeable(truth, where, spec), ranges=True
    )
    return certificate(
        -float(gain.sum()), spec.alpha, uses=len(truth), method="surprisal of a mixture code"
    )


def _usual(
    truth: Whole,
    score: Array,
    cluster: Whole | None,
    spec: ChannelSpec,
    scores: roc.Sorted,
    rng: np.random.Generator,
    best: Best,
    certified: dict[str, float],
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if cluster is None:
        out["auc"] = roc.auc(scores, spec.alpha).document()
    else:
        out["auc"] = roc.clustered_auc(truth, score, cluster, spec.alpha).document()
    for name, level in (("tpr_at_fpr_1e2", 0.01), ("tpr_at_fpr_1e3", 0.001)):
        if cluster is None or cluster.max() == 0:
            out[name] = roc.tpr_at_fpr(scores, level, rng, alpha=spec.alpha).document()
        else:
            out[name] = roc.clustered_tpr(truth, score, cluster, level, spec.alpha).document()
    gap = abs(best.a - best.b)
    reach = math.sqrt(profile.quantile(spec.alpha)) * best.spread
    low = certified.get("advantage", max(0.0, gap - reach))
    gap = max(gap, low)
    high = min(1.0, gap + reach)
    n = len(truth)
    out["advantage"] = {"value": gap, "low": low, "high": high, "n": n}
    out["balanced_accuracy"] = {
        "value": (1 + gap) / 2,
        "low": (1 + low) / 2,
        "high": (1 + high) / 2,
        "n": n,
    }
    out["epsilon_lower"] = certified.get("epsilon", _one_run(truth, score, spec))
    out["epsilon_delta"] = _delta(spec)
    if "mu" in certified:
        out["mu_lower"] = certified["mu"]
    return out


def _one_run(truth: Whole, score: Array, spec: ChannelSpec) -> float:
    """ε from the coins alone: guess the most extreme scores, at pre-declared shares."""
    order = np.argsort(score, kind="stable")
    m, best = len(truth), 0.0
    for share in GUESSED:
        k = max(1, int(share * m / 2))
        right = int(truth[order[-k:]].sum() + (1 - truth[order[:k]]).sum())
        alpha = spec.alpha / len(GUESSED)
        best = max(best, onerun.epsilon_lower(m, 2 * k, right, alpha, _delta(spec)))
    return best


def _delta(spec: ChannelSpec) -> float:
    """δ of the ε bound: the one that is claimed, else 1e-5."""
    return next((float(b.params.get("delta", 0.0)) for b in spec.bounds if b.kind == "dp"), DELTA)

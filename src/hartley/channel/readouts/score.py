"""The SCORE answer form: a real number about a secret bit → bits at pre-declared levels.

The score channel is used through one of the declared false-positive levels, realised as order
statistics of the measured negatives (``roc.places``). The best level is chosen by
cross-fitting, so that trying several does not inflate the point estimate; the certified bound pays
for all of them, in both directions, by Bonferroni (90 % of alpha for the declared direction).
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import cluster_code, one_run_dp, profile_likelihood
from hartley.channel.bounds.degenerate_intervals import LONE, no_variance_limits
from hartley.channel.bounds.score_audit import certify_scores, declared_delta
from hartley.channel.readouts.reading import Reading
from hartley.channel.readouts.symbol import ALONE
from hartley.channel.scores import roc
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.channel.scores.thresholds import Best, best_rule, folds, tabulate
from hartley.core import ChannelSpec, Kind, Quantity
from hartley.infotheory import binary_channel
from hartley.infotheory.surprisal import certificate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

GUESSED = (0.02, 0.1, 0.4, 1.0)
"""Shares of the canaries that the one-run test guesses, the most extreme scores first."""


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
        full: False yields the point alone (null arm).
    """
    scores = ScorePair.of(truth, score)
    if full:
        # The AUC and the curve need all scores sorted, the null arm only a few order statistics.
        scores.sort()
    rules = tabulate(truth, score, folds(len(truth), cluster, rng), scores, spec)
    best = best_rule(rules, truth, score, cluster, spec.alpha if full else None)
    if not full:
        return Reading(best.point, best.raw, 0.0, best.high, best.low, "point only", ())
    if cluster is None:
        certified, method, assumed = certify_scores(scores, spec)
    else:
        certified, method, assumed = _certify_clusters(truth, score, cluster, spec, rng)
    lower, point, high = certified["bits"], best.point, best.high
    if (coded := certified.get("coded", 0.0)) > point:
        # The mixture code uses more than one threshold, so it can find more bits. The point is then
        # its mean gain with its own limit; the old limit could lie below that point.
        point, high = coded, max(high, certified["coded_high"])
    reading = Reading(point, best.raw, lower, high, best.low, method, assumed)
    signal, noise = roc.signal_noise(scores)
    capacity = None
    if cluster is None:
        capacity = Quantity(
            "capacity",
            max(certified["capacity"], float(binary_channel.capacity(*sorted((best.a, best.b))))),
            unit="bit/use",
            lower=certified["capacity"],
            kind=Kind.CERTIFIED,
            alpha=spec.alpha,
            n=len(truth),
            method=method,
        )
    return replace(
        reading,
        leakage=_leakage(truth, score, cluster, spec, rng) if spec.planted else None,
        capacity=capacity,
        signal=signal,
        noise=noise,
        metrics=_usual(
            truth, score, cluster, spec, scores=scores, rng=rng, best=best, certified=certified
        ),
        curve=roc.curve(scores),
    )


def _certify_clusters(
    truth: Whole, score: Array, cluster: Whole, spec: ChannelSpec, rng: np.random.Generator
) -> tuple[dict[str, float], str, tuple[str, ...]]:
    shuffled = exchangeable(truth, cluster, spec)
    gain = cluster_code.score_gains(truth, score, cluster, rng, exchangeable=shuffled, ranges=False)
    m = int(cluster.max()) + 1
    assumed = (
        "secrets shuffled within each cluster" if shuffled else "secrets are the auditor's coins",
        "clusters independent, or of equal expected information given those before",
        "bits of all answers of a cluster about all its secrets, divided by its uses",
        *((ALONE, LONE) if m == 1 else ()),
    )
    sizes = np.bincount(cluster).astype(float)
    certified = {"bits": cluster_code.certified_bits(gain, sizes, spec.alpha)}
    if m > 1:
        mean = float(gain.sum() / sizes.sum())
        spread = float(np.std(gain - mean * sizes, ddof=1)) * m**0.5 / float(sizes.sum())
        certified |= {"coded": mean, "coded_high": mean + _t(m - 1, spec.alpha) * spread}
    return certified, f"mixture code and betting over {m} clusters", assumed


def _t(freedom: int, alpha: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 1 - alpha / 2))


def exchangeable(truth: Whole, cluster: Whole, spec: ChannelSpec) -> bool:
    """Whether secrets must be taken as shuffled: not planted by coins, or balanced by design."""
    ones, sizes = np.bincount(cluster, weights=truth), np.bincount(cluster)
    same = bool((ones == ones[0]).all()) and (len(ones) > 1 or 2 * ones[0] == sizes[0])
    return not spec.planted or (bool(sizes.max() > 1) and same)


def _leakage(
    truth: Whole, score: Array, cluster: Whole | None, spec: ChannelSpec, rng: np.random.Generator
) -> Quantity:
    # Under any fixed answers the likelihood ratio has mean 1 over the coins: an e-value, whose
    # reciprocal is a p-value in the sense of E4.
    where = np.zeros(len(truth), np.int64) if cluster is None else cluster
    shuffled = exchangeable(truth, where, spec)
    gain = cluster_code.score_gains(truth, score, where, rng, exchangeable=shuffled, ranges=True)
    return certificate(
        -float(gain.sum()), spec.alpha, uses=len(truth), method="surprisal of a mixture code"
    )


def _usual(
    truth: Whole,
    score: Array,
    cluster: Whole | None,
    spec: ChannelSpec,
    *,
    scores: ScorePair,
    rng: np.random.Generator,
    best: Best,
    certified: dict[str, float],
) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if cluster is None:
        out["auc"] = roc.auc(scores, spec.alpha).document()
    else:
        out["auc"] = roc.clustered_auc(truth, score, cluster, spec.alpha).document()
    out["auc_two_sided"] = roc.two_sided(out["auc"])
    for name, level in (("tpr_at_fpr_1e2", 0.01), ("tpr_at_fpr_1e3", 0.001)):
        if cluster is None:
            out[name] = roc.tpr_at_fpr(scores, level, rng, alpha=spec.alpha).document()
        else:
            out[name] = roc.clustered_tpr(truth, score, cluster, level, spec.alpha).document()
    gap = best.advantage
    n, m = len(truth), min(best.units or len(truth), len(scores.positives), len(scores.negatives))
    if m == 1 or best.spread == 0.0:
        low, high = no_variance_limits(gap, m, spec.alpha)
    else:
        reach = math.sqrt(profile_likelihood.quantile(spec.alpha)) * best.spread
        low, high = max(0.0, gap - reach), min(1.0, gap + reach)
    low = certified.get("advantage", low)
    gap = max(gap, low)
    high = max(gap, high)
    out["advantage"] = {"value": gap, "low": low, "high": high, "n": n}
    out["balanced_accuracy"] = {
        "value": (1 + gap) / 2,
        "low": (1 + low) / 2,
        "high": (1 + high) / 2,
        "n": n,
    }
    # ε and μ are claims about coins: where nobody tossed one for each row there is none to make.
    if spec.planted and not coins_are_shared(truth, cluster):
        # With clusters ε follows from the coins alone, valid over all runs as over one.
        epsilon = certified.get("epsilon")
        out["epsilon_lower"] = _one_run(truth, score, spec, rng) if epsilon is None else epsilon
        out["epsilon_delta"] = declared_delta(spec)
        if "mu" in certified:
            out["mu_lower"] = certified["mu"]
    return out


def coins_are_shared(truth: Whole, cluster: Whole | None) -> bool:
    """Whether the rows of every cluster have one secret, as if one coin had settled them all."""
    if cluster is None:
        return False
    ones, sizes = np.bincount(cluster, weights=truth), np.bincount(cluster)
    return bool(sizes.max() > 1 and ((ones == 0) | (ones == sizes)).all())


def _one_run(truth: Whole, score: Array, spec: ChannelSpec, rng: np.random.Generator) -> float:
    """Return ε from the coins alone: guess the most extreme scores, at pre-declared shares."""
    # Equal scores are ranked in random order: the order of the rows may follow the secret.
    order = np.lexsort((rng.random(len(score)), score))
    m, best = len(truth), 0.0
    for share in GUESSED:
        k = max(1, int(share * m / 2))
        right = int(truth[order[-k:]].sum() + (1 - truth[order[:k]]).sum())
        alpha = spec.alpha / len(GUESSED)
        best = max(best, one_run_dp.epsilon_lower(m, 2 * k, right, alpha, declared_delta(spec)))
    return best

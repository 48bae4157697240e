"""The SCORE answer form: a real number about a secret bit → I_F, the bits of the best reader.

``readouts.information`` says what I_F is. The metrics have the bits of the best single threshold
out of the declared false-positive levels, realised as order statistics of the measured negatives
(``roc.places``), and the usual metrics.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import cluster_code, one_run_dp, one_run_fdp
from hartley.channel.bounds.degenerate_intervals import ALONE, LONE, no_variance_limits
from hartley.channel.bounds.score_audit import certify_scores, declared_delta
from hartley.channel.readouts import information
from hartley.channel.readouts.information import coins_are_shared, exchangeable
from hartley.channel.readouts.reading import Lows, Reading
from hartley.channel.scores import roc
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.channel.scores.thresholds import Best, best_rule, folds, tabulate
from hartley.core import ChannelSpec, Kind, Quantity
from hartley.infotheory import binary_channel
from hartley.infotheory.differential_privacy import epsilon_of_mu
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
    certify: bool = False,
    binned: information.Binned | None = None,
) -> Reading:
    """Measure scores about secret bits.

    Args:
        truth: (n,) secret bits, both present.
        score: (n,) finite scores, larger = more like 1.
        cluster: (n,) integers 0..m−1 when rows of one cluster are dependent, else None.
        spec: the declaration.
        rng: for folds, the code and bootstrap draws.
        full: False yields the point alone (null arm).
        certify: with the certified bound at alpha and the upper end, where ``full`` is False.
        binned: the scores in bins, where they were binned before.
    """
    scores = ScorePair.of(truth, score)
    if full:
        scores.sort()  # the AUC and the curve need all of them
    read = information.learned(
        truth,
        score,
        cluster,
        spec,
        rng,
        scores=scores,
        binned=binned,
        high=full or certify,
        halvings=information.HALVINGS if full else int(certify),
    )
    lows = read.lows
    if not full:
        low = lows[0][1] if lows else 0.0
        return Reading(read.point, read.raw, low, read.high, "point", (), lows=lows)
    rules = tabulate(truth, score, folds(len(truth), cluster, rng), scores, spec)
    best = best_rule(rules, truth, score, cluster, spec.alpha)
    enumerated, assumed = _enumerated(scores, cluster, spec)
    reading = Reading(
        read.point,
        read.raw,
        lows[0][1],
        read.high,
        read.method,
        _assumptions(cluster, read) + assumed,
        lows=lows,
        quantity=quantity(spec, cluster),
    )
    signal, noise = roc.signal_noise(scores)
    capacity = None
    if cluster is None:
        capacity = Quantity(
            "capacity",
            max(enumerated["capacity"], float(binary_channel.capacity(*sorted((best.a, best.b))))),
            unit="bit/use",
            lower=enumerated["capacity"],
            kind=Kind.CERTIFIED,
            alpha=spec.alpha,
            n=len(truth),
            method="Fisher product over pre-declared levels",
        )
    leakage = None
    if spec.planted and not coins_are_shared(truth, cluster):
        leakage = _leakage(truth, score, cluster, spec, rng)
    metrics = _usual(
        truth, score, cluster, spec, scores=scores, rng=rng, best=best, certified=enumerated
    )
    epsilons: Lows = ()
    # ε and μ are claims about coins: where nobody tossed one for each row there is none to make.
    if drawn_alone(truth, cluster, spec):
        private, epsilons = _private(
            truth, score, cluster, spec, certified=enumerated, scores=scores, rng=rng
        )
        metrics |= private
    return replace(
        reading,
        leakage=leakage,
        capacity=capacity,
        signal=signal,
        noise=noise,
        metrics=metrics,
        curve=roc.curve(scores),
        beside={"epsilon": epsilons} if epsilons else {},
    )


def quantity(spec: ChannelSpec, cluster: Whole | None) -> str:
    """Return in words what a score's bits are of."""
    pieces = "monotone" if spec.pieces == 1 else f"at most {spec.pieces} monotone pieces"
    mean = "" if cluster is None else ", mean over clusters"
    return f"I_F: bits a use through the best posterior that is {pieces} in the score{mean}"


def _enumerated(
    scores: ScorePair, cluster: Whole | None, spec: ChannelSpec
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Certify what is a claim about one threshold: bits, capacity, advantage, ε and μ."""
    if cluster is not None:
        return {}, ()
    bounds, _, assumed = certify_scores(scores, spec)
    return bounds, assumed


def _assumptions(cluster: Whole | None, read: information.Learned) -> tuple[str, ...]:
    """Return what the certified bound and the upper end rest on."""
    if cluster is None:
        if read.rows >= 2 * information.RARE:
            return ()
        few = information.RARE
        return (f"fewer than {few} records of one secret: the upper end is the ceiling",)
    m = int(cluster.max()) + 1
    assumed = [
        "secrets shuffled within each cluster"
        if read.shuffled
        else "secrets are the auditor's coins",
        "clusters independent, none of which leaks the other way round than the rest",
    ]
    if m < information.FEW_CLUSTERS:
        assumed.append(
            f"fewer than {information.FEW_CLUSTERS} clusters: the upper end is the ceiling"
        )
    return (*assumed, *((ALONE, LONE) if m == 1 else ()))


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


RATES = {"tpr_at_fpr_1e2": 0.01, "tpr_at_fpr_1e3": 0.001}
"""The false-positive levels of the usual rates."""


def usual_metric(
    name: str,
    truth: Whole,
    score: Array,
    cluster: Whole | None,
    *,
    spec: ChannelSpec,
    rng: np.random.Generator,
) -> dict[str, Any] | None:
    """Return one usual metric that has an interval, or None where scores have none of that name.

    Args:
        name: of the metric.
        truth, score, cluster, spec, rng: as of ``measure_score``.
    """
    scores = ScorePair.of(truth, score)
    if name in RATES:
        return _rate(truth, score, cluster, spec, scores=scores, rng=rng, fpr=RATES[name])
    if name in ("auc", "auc_two_sided"):
        scores.sort()
        return _areas(truth, score, cluster, spec, scores=scores, rng=rng)[name]
    if name not in ("bits_one_threshold", "advantage", "balanced_accuracy"):
        return None
    rules = tabulate(truth, score, folds(len(truth), cluster, rng), scores, spec)
    best = best_rule(rules, truth, score, cluster, spec.alpha)
    certified = _enumerated(scores, cluster, spec)[0]
    return _of_one_threshold(best, certified, cluster, scores, spec)[name]


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
    out: dict[str, Any] = dict(_areas(truth, score, cluster, spec, scores=scores, rng=rng))
    for name, fpr in RATES.items():
        out[name] = _rate(truth, score, cluster, spec, scores=scores, rng=rng, fpr=fpr)
    return out | _of_one_threshold(best, certified, cluster, scores, spec)


def _private(
    truth: Whole,
    score: Array,
    cluster: Whole | None,
    spec: ChannelSpec,
    *,
    certified: dict[str, float],
    scores: ScorePair,
    rng: np.random.Generator,
) -> tuple[dict[str, float], Lows]:
    """Return the metrics of differential privacy, and ε's lower bounds at falling error levels.

    With clusters they follow from the coins alone, valid over all runs as over one.
    """
    delta = declared_delta(spec)
    if cluster is None:
        epsilon, mu = certified["epsilon"], certified["mu"]

        def bound(alpha: float) -> float:
            return certify_scores(scores, spec, delta=delta, of=("epsilon",), alpha=alpha)[0][
                "epsilon"
            ]

    else:
        guesses = _one_run(truth, score, rng)
        m, shared = len(truth), spec.alpha / len(GUESSED)
        epsilons = [one_run_dp.epsilon_lower(m, r, v, shared, delta) for r, v in guesses]
        epsilon = max(epsilons)
        mu = max(one_run_fdp.mu_lower(m, r, v, shared) for r, v in guesses)
        # All shares hold together at each level, so any one of them may be followed down.
        followed = guesses[epsilons.index(epsilon)]

        def bound(alpha: float) -> float:
            return one_run_dp.epsilon_lower(m, *followed, alpha / len(GUESSED), delta)

    lows, low = [(spec.alpha, epsilon)], epsilon
    for k in range(1, information.HALVINGS):
        low = min(low, bound(spec.alpha / 2**k)) if low > 0.0 else 0.0
        lows.append((spec.alpha / 2**k, low))
    out = {"epsilon_lower": epsilon, "epsilon_delta": delta, "mu_lower": mu}
    if delta > 0.0:  # at δ = 0 every Gaussian trade-off has an infinite ε
        out["epsilon_lower_gaussian"] = epsilon_of_mu(mu, delta)
    return out, tuple(lows)


def _areas(
    truth: Whole,
    score: Array,
    cluster: Whole | None,
    spec: ChannelSpec,
    *,
    scores: ScorePair,
    rng: np.random.Generator,
) -> dict[str, dict[str, Any]]:
    area = roc.area(scores) if cluster is None else roc.clustered_area(truth, score, cluster)
    auc, two_sided = area.interval(spec.alpha), area.two_sided(spec.alpha)
    if cluster is None:
        paired = roc.PairedArea.of(scores, rng.spawn(1)[0])
        auc = auc.at_levels(spec.alpha, paired.lower)
        two_sided = two_sided.at_levels(spec.alpha, paired.two_sided)
    return {"auc": auc.document(), "auc_two_sided": two_sided.document()}


def _rate(
    truth: Whole,
    score: Array,
    cluster: Whole | None,
    spec: ChannelSpec,
    *,
    scores: ScorePair,
    rng: np.random.Generator,
    fpr: float,
) -> dict[str, Any]:
    if cluster is None:
        return roc.tpr_at_fpr(scores, fpr, rng, alpha=spec.alpha).document()
    return roc.clustered_tpr(truth, score, cluster, fpr, spec.alpha).document()


def _of_one_threshold(
    best: Best,
    certified: dict[str, float],
    cluster: Whole | None,
    scores: ScorePair,
    spec: ChannelSpec,
) -> dict[str, dict[str, Any]]:
    gap, n = best.advantage, len(scores.positives) + len(scores.negatives)
    low, high = advantage_limits(best, cluster, scores, spec.alpha)
    # Of all rules with this gap of their rates the symmetric one has the fewest bits.
    least = float(binary_channel.bits((1.0 + low) / 2.0, (1.0 - low) / 2.0))
    bits = {
        "value": best.point,
        "low": min(best.point, certified.get("bits", least)),
        "high": max(best.point, best.high),
        "n": n,
    }
    low = min(low, gap) if "advantage" not in certified else certified["advantage"]
    gap = max(gap, low)
    high = max(gap, high)
    right = [(1 + x) / 2 for x in (gap, low, high)]
    return {
        "bits_one_threshold": bits,
        "advantage": {"value": gap, "low": low, "high": high, "n": n},
        "balanced_accuracy": {"value": right[0], "low": right[1], "high": right[2], "n": n},
    }


def drawn_alone(truth: Whole, cluster: Whole | None, spec: ChannelSpec) -> bool:
    """Whether an independent coin of the auditor settled the secret of each row."""
    if not spec.planted:
        return False
    # Rows of no cluster are judged given their secrets, which may then be balanced by design.
    return cluster is None or not (
        coins_are_shared(truth, cluster) or exchangeable(truth, cluster, spec)
    )


def advantage_limits(
    best: Best, cluster: Whole | None, scores: ScorePair, alpha: float
) -> tuple[float, float]:
    """Return calibrated limits of the advantage, each one-sided at ``alpha``.

    Low: the gap under rules from earlier clusters less t errors. High: the largest gap on the
    sample plus z (t over clusters) errors.
    """
    from scipy.special import ndtri, stdtrit

    top, earlier = best.largest, best.held_out
    m = min(best.units or len(scores.positives), len(scores.positives), len(scores.negatives))
    if m == 1 or top.spread == 0.0:
        return no_variance_limits(best.advantage, m, alpha)
    reach = ndtri(1 - alpha) if cluster is None else stdtrit(top.units - 1, 1 - alpha)
    low = 0.0
    if earlier.units > 1:
        reach_below = float(stdtrit(earlier.units - 1, 1 - alpha)) * earlier.spread
        low = max(0.0, earlier.value - reach_below)
    return low, min(1.0, top.value + float(reach) * top.spread)


def _one_run(truth: Whole, score: Array, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return how many canaries are guessed, the most extreme scores, and how many rightly.

    One pair for each declared share.
    """
    # Equal scores are ranked in random order: the order of the rows may follow the secret.
    order, m = np.lexsort((rng.random(len(score)), score)), len(truth)
    guesses = []
    for share in GUESSED:
        k = max(1, int(share * m / 2))
        right = int(truth[order[-k:]].sum() + (1 - truth[order[:k]]).sum())
        guesses.append((2 * k, right))
    return guesses

"""E2: guesses out of K symbols → Fano bits, erasures kept apart."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import cluster_code, profile_likelihood, two_rates
from hartley.channel.bounds.degenerate_intervals import LONE, share_interval
from hartley.channel.readouts.reading import Reading
from hartley.core import ChannelSpec
from hartley.infotheory import binary_channel
from hartley.infotheory.surprisal import certificate, log2_binomial_tail

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LN2 = math.log(2.0)
ALONE = "one cluster: worth about alpha times its gain; see leakage"
"""The assumption that a certificate from a single cluster lists."""


def fano(accuracy: ArrayLike, alphabet: int) -> Array:
    """Return the least bits of a channel whose guess of a uniform K-ary secret has this accuracy.

    log2 K − h₂(e) − e·log2(K − 1) with e = 1 − accuracy: Fano's inequality, met by the K-ary
    symmetric channel. It is the divergence between success at that rate and success by chance.
    """
    from scipy.special import rel_entr

    p = np.asarray(accuracy, np.float64)
    if alphabet < 2:
        return np.zeros_like(p)
    return np.asarray((rel_entr(p, 1.0 / alphabet) + rel_entr(1.0 - p, 1.0 - 1.0 / alphabet)) / LN2)


def fano_lower(correct: int, n: int, alphabet: int, alpha: float = 0.05) -> float:
    """Return certified bits per use from ``correct`` right guesses of n (Clopper–Pearson)."""
    if n <= 0 or alphabet < 2:
        return 0.0
    low = float(binary_channel.clopper_pearson(correct, n, alpha)[0])
    return float(fano(low, alphabet)) if low > 1.0 / alphabet else 0.0


def erasure_lower(correct: int, answered: int, n: int, alphabet: int, alpha: float = 0.05) -> float:
    """Return certified bits per use when the attacker may abstain, visibly.

    I(S; Ŝ) ≥ P(answered)·fano(P(right | answered)). Answers are binomial, and given them so are
    right answers: two independent p-values, hence the same product region as in E1.
    """
    if answered <= 0 or alphabet < 2:
        return 0.0
    z = two_rates.fisher_level(alpha)
    u = np.linspace(0.0, 1.0, 801)
    rate = binary_channel.rate_low(answered, n, z**u)
    right = binary_channel.rate_low(correct, answered, z ** (1.0 - u))
    # Between two grid points both rates are at least these: the grid errs on the safe side.
    value = rate[1:] * np.where(right[:-1] > 1.0 / alphabet, fano(right[:-1], alphabet), 0.0)
    return float(value.min())


def measure_symbol(
    truth: Whole,
    guess: Whole,
    cluster: Whole | None,
    spec: ChannelSpec,
    rng: np.random.Generator,
    *,
    reference: Whole | None = None,
    full: bool = True,
) -> Reading:
    """Measure guessed symbols about K-ary secrets.

    Args:
        truth: (n,) symbols 0..K−1.
        guess: (n,) symbols, −1 = erased.
        cluster: (n,) integers 0..m−1 when rows of one cluster are dependent, else None.
        spec: the declaration; K = ``spec.alphabet``.
        rng: for dropping rows of frequent classes (``even``).
        reference: (n,) what is received without the attack, for the base rate.
        full: False leaves out the metrics and the leakage (null arm).
    """
    k = spec.alphabet
    if not spec.planted and k > 2:
        keep = even(truth, rng)
        truth, guess = truth[keep], guess[keep]
        cluster = None if cluster is None else np.unique(cluster[keep], return_inverse=True)[1]
        reference = None if reference is None else reference[keep]
    n = len(truth)
    right, live = guess == truth, guess >= 0
    correct, answered = int(right.sum()), int(live.sum())
    wide, units = design(right.astype(float), cluster)
    point, raw, reach = plug_in(truth, guess, k, wide, spec.alpha)
    limits = profile_likelihood.accuracy_interval(
        correct / wide, n / wide, alpha=spec.alpha, clusters=units
    )
    by_rate = [float(fano(p, k)) if p > 1.0 / k else 0.0 for p in limits]
    if cluster is None:
        lower, method, assumed = _certify_rows(truth, guess, spec)
    else:
        gain = cluster_code.symbol_gains(truth, guess, cluster, k)
        lower = cluster_code.certified_bits(gain, np.bincount(cluster).astype(float), spec.alpha)
        method, assumed = by_cluster(cluster)
    low, high = max(by_rate[0], point - reach), max(by_rate[1], point + reach)
    reading = Reading(point, raw, lower, high, low, method, assumed)
    if not full:
        return reading
    rate = share_interval(right, cluster, spec.alpha)
    metrics: dict[str, Any] = {"accuracy": rate, "chance": 1.0 / k}
    if answered < n:
        metrics["answered"] = answered / n
    if spec.role.value == "inject":
        metrics["asr"] = rate
    if reference is not None:
        metrics["base_rate"] = share_interval(reference == truth, cluster, spec.alpha)
    # Which rows are answered is fixed by the answers; each is right with chance 1/K.
    tail = log2_binomial_tail(correct, answered, 1.0 / k) if k > 1 else 0.0
    return replace(
        reading,
        leakage=None
        if not spec.planted
        else certificate(tail, spec.alpha, uses=n, method="surprisal of right guesses"),
        metrics=metrics,
    )


def plug_in(
    truth: Whole, guess: Whole, alphabet: int, wide: float, alpha: float
) -> tuple[float, float, float]:
    """Return bias-corrected bits, plug-in bits and the reach of a normal interval.

    The whole K × (K + 1) table at the uniform prior with Miller–Madow where the uses fill it
    (n ≥ 20 K²), otherwise Fano at the observed rates.
    """
    n, k = len(truth), alphabet
    sent = np.bincount(truth, minlength=k).astype(float)
    if k < 2:
        return 0.0, 0.0, 0.0
    if 20 * k * k > n or (sent == 0).any():
        answered = int((guess >= 0).sum())
        right = int((guess == truth).sum())
        acc = right / answered if answered else 1.0 / k
        raw = answered / n * float(fano(acc, k)) if acc > 1.0 / k else 0.0
        bias = wide / (2 * n * LN2) if 0.0 < acc < 1.0 else 0.0
        # Second moment of the bits of one use: the mean is the raw value, the spread its error.
        squares = (
            right * _log2(acc * k) ** 2 + (answered - right) * _log2((1 - acc) / (1 - 1 / k)) ** 2
        )
        reach = math.sqrt(
            profile_likelihood.quantile(alpha) * max(0.0, squares / n - raw * raw) * wide / n
        )
        return max(0.0, raw - bias), raw, reach
    table = np.bincount(truth * (k + 1) + guess + 1, minlength=k * (k + 1)).reshape(k, k + 1)
    rows = table / sent[:, None]
    out = rows.mean(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        density = np.where(rows > 0, np.log2(rows / out), 0.0)
    raw = float((rows * density).sum() / k)
    bias = float((((table > 0).sum(1) - 1) / sent).mean() - ((out > 0).sum() - 1) / n)
    spread = float((rows * density**2).sum() / k) - raw * raw
    reach = math.sqrt(profile_likelihood.quantile(alpha)) * math.sqrt(max(spread, 0.0) * wide / n)
    point = raw - wide * bias / (2 * LN2)
    return min(max(0.0, point), math.log2(k)), raw, reach


def _log2(x: float) -> float:
    return math.log2(x) if x > 0.0 else 0.0


def _certify_rows(
    truth: Whole, guess: Whole, spec: ChannelSpec
) -> tuple[float, str, tuple[str, ...]]:
    n, k, alpha = len(truth), spec.alphabet, spec.alpha
    correct, answered = int((guess == truth).sum()), int((guess >= 0).sum())
    drawn = ("uses independent", "secrets drawn uniformly")
    if answered < n:
        lower = erasure_lower(correct, answered, n, k, alpha)
        return lower, "Fano with erasures, product region", (*drawn, "abstaining shows")
    always = "the attacker always answers"
    if k != 2:
        return fano_lower(correct, n, k, alpha), "Fano, Clopper–Pearson", (*drawn, always)
    ones, tp = int(truth.sum()), int(guess[truth == 1].sum())
    zeros, fp = n - ones, int(guess[truth == 0].sum())
    # Two symbols: half of alpha for the symmetric reading, half for the two rates apart. The first
    # needs secrets that were drawn, the second only rows independent given their secrets.
    half = 0.5 if spec.planted else 0.0
    both = [fano_lower(correct, n, 2, half * alpha) if half else 0.0]
    for part, a, b in ((0.9, tp, fp), (0.1, ones - tp, zeros - fp)):
        level = part * (1.0 - half) * alpha
        bounds = two_rates.lower(a, ones, b, zeros, level, of=("bits",))
        both.append(float(bounds["bits"]))
    if spec.planted:
        return max(both), "Fano and Fisher product", (*drawn, always)
    return max(both), "Fisher product", ("uses independent given their secrets", always)


def even(truth: Whole, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows to keep so that every class is as frequent as the rarest.

    Fano's bits are for a uniform secret. Where the secrets were not drawn and class sizes differ
    by more than chance (χ² at 0.1 %), rows of the frequent ones are dropped at random.
    """
    from scipy.special import chdtri

    counts = np.bincount(truth)
    present = int((counts > 0).sum())
    mean = len(truth) / present
    keep = np.ones(len(truth), dtype=bool)
    if float(((counts[counts > 0] - mean) ** 2).sum()) / mean <= chdtri(present - 1, 0.001):
        return keep
    order = np.lexsort((rng.random(len(truth)), truth))
    place = np.arange(len(truth)) - (np.cumsum(counts) - counts)[truth[order]]
    keep[order] = place < counts[counts > 0].min()
    return keep


def by_cluster(cluster: Whole) -> tuple[str, tuple[str, ...]]:
    """Return the method of a clustered certificate, and its assumptions."""
    m = int(cluster.max()) + 1
    assumed = (
        "secrets drawn uniformly by the auditor",
        "clusters independent, or of equal expected information given those before",
        "bits of all answers of a cluster about all its secrets, divided by its uses",
        *((ALONE, LONE) if m == 1 else ()),
    )
    return f"mixture code and betting over {m} clusters", assumed


def design(x: Array, cluster: Whole | None, *, spread: bool = False) -> tuple[float, int]:
    """Return the design effect of a mean, and the clusters (0 when rows are independent)."""
    if cluster is None or cluster.max() == 0:
        return 1.0, 0 if cluster is None else 1
    sums = cluster_code.grouped(x, cluster)
    sizes = np.bincount(cluster).astype(float)
    m, n = len(sums), len(x)
    if not spread:
        return profile_likelihood.design_effect(sums, sizes), m
    variance = float(x.var())
    between = float(((sums - x.mean() * sizes) ** 2).sum()) * m / (m - 1)
    return (max(1.0, between / (n * variance)) if variance > 0 else 1.0), m

"""Guesses out of more than two symbols: right, wrong or abstained → bits."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.channel.bounds import two_rates
from hartley.channel.bounds.degenerate_intervals import ALONE, LONE
from hartley.channel.bounds.prequential import ClusterGains, Gains, runs_of, stages, thinned
from hartley.channel.readouts import information
from hartley.channel.readouts.information import folds_of
from hartley.channel.readouts.reading import Lows, Reading
from hartley.core import ChannelSpec
from hartley.infotheory import binary_channel

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LN2 = math.log(2.0)


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


def measure_many(
    truth: Whole,
    guess: Whole,
    cluster: Whole | None,
    spec: ChannelSpec,
    rng: np.random.Generator,
    *,
    halvings: int,
) -> Reading:
    """Measure more than two symbols: one rate of right answers, wrong ones spread evenly.

    Args:
        truth, guess, cluster, spec, rng: as of ``measure_symbol``.
        halvings: at how many error levels bits are certified; 0 for the point alone.
    """
    n = len(truth)
    outcome = np.where(guess < 0, ABSTAINED, np.where(guess == truth, RIGHT, WRONG))
    if not spec.planted:
        # Classes that no row has are no secrets: who guesses evenly among the others knows nothing.
        classes, truth = np.unique(truth, return_inverse=True)
        spec = replace(spec, alphabet=len(classes))
    k = spec.alphabet
    weight = class_weights(truth, cluster, k, planted=spec.planted)
    # Where nothing was answered an abstention is a constant, which says nothing.
    telling = n >= 20 * k * k and 0 < int((guess < 0).sum()) < n
    answers = Answers(truth, outcome, cluster, k, telling)
    counts = symbol_counts(outcome, truth, weight, k)
    raw, gains = read_symbols(counts, outcome, truth, k, telling=telling)
    fold = folds_of(n, cluster, rng)
    held_out = np.zeros(n)
    for part in range(int(fold.max()) + 1):
        rest = fold != part
        if rest.all() or not rest.any():
            continue
        learned = symbol_reader(
            symbol_counts(outcome[rest], truth[rest], weight[rest] * n, k), k, telling=telling
        )
        held_out[~rest] = (weight * learned[outcome, truth])[~rest]
    point = information.halfway(raw, float(held_out.sum()))
    high = _upper_end(answers, weight, gains, spec.alpha)
    lows: Lows = ()
    method = "point"
    if halvings:
        lows, method = _certify(answers, spec, rng, halvings)
        if cluster is not None and spec.planted:
            means = information.by_cluster(held_out, weight, cluster)
            lows = information.falling(information.one_reader([*lows], means))
    return Reading(
        point,
        raw,
        lows[0][1] if lows else 0.0,
        high,
        method,
        (*assumptions_of(cluster, spec.planted), *_left_out(truth, cluster, spec.planted)),
        lows=lows,
        quantity=(
            f"bits a use of right, wrong or abstained among {k}, classes weighing alike"
            + mean_of(cluster)
        ),
    )


RIGHT, WRONG, ABSTAINED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Answers:
    """What is known of each answer about a K-ary secret.

    Attributes:
        truth: (n,) symbols 0..K−1.
        outcome: (n,) ``RIGHT``, ``WRONG`` or ``ABSTAINED``.
        cluster: (n,) integers 0..m−1, or None.
        alphabet: K.
        telling: abstentions are read by class.
    """

    truth: Whole
    outcome: Whole
    cluster: Whole | None
    alphabet: int
    telling: bool


def class_weights(truth: Whole, cluster: Whole | None, k: int, *, planted: bool) -> Array:
    """Return the weight of each row, (n,) with sum 1: classes alike, and each cluster once.

    Secrets that were drawn uniformly have equal classes on average: their rows weigh alike.
    """
    weight = np.ones(len(truth))
    if cluster is not None:
        weight /= np.bincount(cluster)[cluster]
    if not planted:
        by_class = np.bincount(truth, weights=weight, minlength=k)
        weight /= by_class[truth]
    return np.asarray(weight / weight.sum())


def symbol_counts(outcome: Whole, truth: Whole, weight: Array, k: int) -> Array:
    """Return the weight of right, wrong and abstained answers by class, (3, K)."""
    flat = np.bincount(outcome * k + truth, weights=weight, minlength=3 * k)
    return np.asarray(flat.reshape(3, k), np.float64)


def symbol_reader(counts: Array, k: int, *, telling: bool, prior: float = 0.5) -> Array:
    """Return log2 K·f(secret | outcome) of a reader learned from counts, (3, K) bits.

    Args:
        counts: (3, K) rows by outcome and class.
        k: the alphabet.
        telling: abstentions are read by class; else they say nothing.
        prior: rows added to right and to wrong answers, and spread over the classes that abstain.
    """
    right, wrong = float(counts[RIGHT].sum()), float(counts[WRONG].sum())
    # A guess that is right less often than by chance is not a guess: it is read as chance.
    rate = max((right + prior) / (right + wrong + 2.0 * prior), 1.0 / k)
    rate = min(rate, 1.0 - 1e-12)
    bits = np.zeros((3, k))
    if k < 2:
        return bits
    bits[RIGHT] = math.log2(k * rate)
    bits[WRONG] = math.log2(k * (1.0 - rate) / (k - 1))
    if telling:
        by_class = counts[ABSTAINED] + prior
        bits[ABSTAINED] = np.log2(k * by_class / by_class.sum())
    return bits


def read_symbols(
    counts: Array, outcome: Whole, truth: Whole, k: int, *, telling: bool
) -> tuple[float, Array]:
    """Return the most bits that such a reader has on the sample, and (n,) those of its rows."""
    bits = symbol_reader(counts, k, telling=telling, prior=1e-12)
    return float((counts * bits).sum()), bits[outcome, truth]


def _upper_end(answers: Answers, weight: Array, gains: Array, alpha: float) -> float:
    """The larger of: the sample's maximum plus z errors, and the bits at the rates' limits.

    The second serves where every answer was right or wrong: the sample then shows no spread.
    """
    from scipy.special import ndtri, stdtrit

    outcome, cluster, k = answers.outcome, answers.cluster, answers.alphabet
    raw = float((weight * gains).sum())
    if cluster is None:
        n = 1.0 / float((weight**2).sum())
        error = math.sqrt(max(0.0, float((weight * gains**2).sum()) - raw * raw) / n)
        reach, m = float(ndtri(1.0 - alpha)) * error, len(outcome)
    else:
        m = int(cluster.max()) + 1
        if m < information.FEW_CLUSTERS:
            return math.log2(k)
        means = np.bincount(cluster, weights=weight * gains) * m
        reach = float(stdtrit(m - 1, 1.0 - alpha)) * float(means.std(ddof=1)) / math.sqrt(m)
        n = float(m)
    if m < information.RARE and cluster is None:
        return math.log2(k)
    right, wrong = (float(weight[outcome == o].sum()) for o in (RIGHT, WRONG))
    wide = 1.0
    if cluster is not None:
        hits = np.bincount(cluster, weights=weight * (outcome == RIGHT)) * m
        base = right * (1.0 - right)
        wide = max(float(hits.var(ddof=1)) / base, 1e-9) if base > 0 else 1.0
        n = m / wide if base > 0 else float(m)
    most = _limit(right, n, alpha / 2)
    least = 1.0 - _limit(1.0 - wrong, n, alpha / 2)
    total = min(1.0, most + least)
    rate = most / total if total > 0 else 0.0
    by_rates = total * float(fano(rate, k)) if rate > 1.0 / k else 0.0
    return min(math.log2(k), max(raw + reach, by_rates))


def _limit(rate: float, n: float, alpha: float) -> float:
    """Upper Clopper–Pearson limit of a rate among n effective uses."""
    from scipy.special import betaincinv

    hits = rate * n
    return float(betaincinv(hits + 1.0, max(n - hits, 1e-9), 1.0 - alpha)) if hits < n else 1.0


def _certify(
    answers: Answers, spec: ChannelSpec, rng: np.random.Generator, halvings: int
) -> tuple[Lows, str]:
    k, alphas = spec.alphabet, [spec.alpha / 2**i for i in range(halvings)]
    if answers.cluster is not None:
        code = _cluster_code(answers, answers.cluster, planted=spec.planted)
        m = int(answers.cluster.max()) + 1
        lows = code.lowers(alphas)
        return information.falling(lows), f"prequential code and betting over {m} clusters"
    if not spec.planted:
        keep = even(answers.truth, rng)
        answers = replace(answers, truth=answers.truth[keep], outcome=answers.outcome[keep])
    n, outcome = len(answers.truth), answers.outcome
    correct, answered = int((outcome == RIGHT).sum()), int((outcome != ABSTAINED).sum())
    gains = None
    if n >= 2 * information.FROM and spec.planted:
        gains = _row_code(answers, rng)
    lows = []
    for alpha in alphas:
        level = alpha / 2 if gains is not None else alpha
        low = (
            fano_lower(correct, n, k, level)
            if answered == n
            else erasure_lower(correct, answered, n, k, level)
        )
        lows.append((alpha, max(low, 0.0 if gains is None else gains.lower(level))))
    name = "Fano, Clopper–Pearson" if answered == n else "Fano with erasures, product region"
    return information.falling(lows), name if gains is None else (
        f"{name}, or prequential code and betting"
    )


def _row_code(answers: Answers, rng: np.random.Generator) -> Gains:
    """The prequential code of independent rows whose secrets were drawn uniformly."""
    order, k = rng.permutation(len(answers.truth)), answers.alphabet
    truth, outcome = answers.truth[order], answers.outcome[order]
    values, floors = [], []
    for start, stop in stages(len(truth)):
        counts = symbol_counts(outcome[:start], truth[:start], np.ones(start), k)
        bits = symbol_reader(counts, k, telling=answers.telling)
        values.append(bits[outcome[start:stop], truth[start:stop]])
        floors.append(np.full(stop - start, bits.min()))
    if not values:
        return Gains(np.empty(0), np.empty(0))
    return thinned(np.concatenate(values), np.concatenate(floors))


def _cluster_code(answers: Answers, cluster: Whole, *, planted: bool) -> ClusterGains | Gains:
    """The prequential code of clusters.

    Secrets that nobody drew have no law within a cluster: its gain is then the mean of its rows',
    weighted by class, without a hedge.
    """
    truth, outcome, k = answers.truth, answers.outcome, answers.alphabet
    m = int(cluster.max()) + 1
    weight = class_weights(truth, cluster, k, planted=planted)
    sizes = np.bincount(cluster).astype(np.float64)
    log_ratios = np.zeros(m)
    means, floors = np.zeros(m), np.zeros(m)
    for start, stop in runs_of(m):
        past, now = cluster < start, (cluster >= start) & (cluster < stop)
        share = weight[past] * past.sum() / weight[past].sum()
        bits = symbol_reader(
            symbol_counts(outcome[past], truth[past], share, k), k, telling=answers.telling
        )
        gain = bits[outcome[now], truth[now]]
        log_ratios += np.bincount(cluster[now], weights=gain, minlength=m)
        part = np.bincount(cluster[now], weights=weight[now] * m * gain, minlength=m)
        means[start:stop] = part[start:stop]
        total = np.bincount(cluster[now], weights=weight[now] * m, minlength=m)
        floors[start:stop] = total[start:stop].max(initial=1.0) * min(bits.min(), 0.0)
    if planted:
        return ClusterGains(log_ratios[:, None], sizes)
    return Gains(means[1:], floors[1:])


def even(truth: Whole, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return which rows to keep so that every class is as frequent as the rarest.

    Fano's bits are for a uniform secret. Rows of frequent classes are dropped at random, whether or
    not a test would notice that they are more frequent: a bound must hold where it does not.
    """
    counts = np.bincount(truth)
    order = np.lexsort((rng.random(len(truth)), truth))
    place = np.arange(len(truth)) - (np.cumsum(counts) - counts)[truth[order]]
    keep = np.empty(len(truth), dtype=bool)
    keep[order] = place < counts[counts > 0].min()
    return keep


def _left_out(truth: Whole, cluster: Whole | None, planted: bool) -> tuple[str, ...]:
    """Return how many rows the certified bound rests on, where ``even`` leaves some out."""
    counts = np.bincount(truth)
    n, rows = len(truth), int(counts.min()) * len(counts)
    if planted or cluster is not None or rows == n:
        return ()
    return (f"certified from {rows} of {n} rows: as many of each class as the rarest has",)


def assumptions_of(cluster: Whole | None, planted: bool) -> tuple[str, ...]:
    """Return what the bits of guessed symbols rest on."""
    drawn = "secrets drawn uniformly" if planted else "classes weigh alike, whatever their sizes"
    if cluster is None:
        return ("uses independent given their secrets", drawn)
    m = int(cluster.max()) + 1
    alike = "clusters independent, none of which leaks the other way round than the rest"
    return (drawn, alike, *((ALONE, LONE) if m == 1 else ()))


def mean_of(cluster: Whole | None) -> str:
    """Return the words for a mean over clusters, where there are any."""
    return "" if cluster is None else ", mean over clusters"

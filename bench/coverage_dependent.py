"""Coverage suites (7) to (11): many looks, rows that hang together, resampling, cascades."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from coverage_rows import ALPHA, Rng, Row, times

from hartley.channel.bounds import two_rates
from hartley.channel.bounds.prequential import cluster_gains
from hartley.channel.readouts import many_symbols
from hartley.channel.scores.lazy_sort import ScorePair
from hartley.channel.scores.roc import bootstrap_tpr
from hartley.infotheory import binary_channel, e_values
from hartley.infotheory.binary_channel import entropy


# (7) sequential: looked at after every single event.
def peeking(scale: float, rng: Rng) -> Iterator[Row]:
    draws, horizon = times(4000, scale), 250
    for p0 in (0.05, 0.5):
        events = rng.random((draws, horizon)) < p0
        k, n = events.cumsum(1), np.arange(1, horizon + 1)
        table = np.array(
            [[e_values.log2_kt(s, t, p0) if s <= t else 0.0 for s in range(horizon + 1)] for t in n]
        )
        peak = table[n - 1, k].max(1)
        yield Row(
            "(7) e-process",
            f"KT, p0={p0}, {horizon} looks",
            draws,
            int((peak >= math.log2(1 / ALPHA)).sum()),
        )
        low = binary_channel.rate_low(k, n, ALPHA)
        yield Row(
            "(7) e-process",
            f"Clopper–Pearson at every look, p0={p0}",
            draws,
            int((low > p0).any(1).sum()),
            must_fail=True,
        )
    wrong = 0
    for _ in range(times(1000, scale)):
        x = rng.beta(0.5, 2.0, 40)
        wrong += e_values.mean_lower(x, ALPHA) > 0.2
    yield Row("(7) e-process", "betting mean of Beta(½, 2), m=40", times(1000, scale), wrong)
    wrong, q = 0, 0.05 ** (1 / 16) * 0.999
    for _ in range(times(4000, scale)):
        wrong += e_values.mean_lower((rng.random(16) < q).astype(float), ALPHA) > q
    yield Row("(7) e-process", "betting mean, all-or-nothing, m=16", times(4000, scale), wrong)


# (8) clusters: rows that hang together must break the row bound and not the cluster bound.
def cluster_lower(truth: np.ndarray, guess: np.ndarray, cluster: np.ndarray, rng: Rng) -> float:
    """The certified bits of guessed bits, by cluster."""
    code = cluster_gains(truth, guess.astype(float), cluster, 1, rng, exchangeable=False)
    return code.lower(ALPHA)


def clustered(scale: float, rng: Rng) -> Iterator[Row]:
    # The code takes a hundred times as long as a rate: it is tried on the first of the draws.
    draws, coded, models, canaries = times(1000, scale), times(200, scale), 20, 50
    for spread in (0.3, 0.8):
        base = math.log(0.75 / 0.25)
        rates = 1 / (1 + np.exp(-(base + spread * rng.normal(size=200_000))))
        mean, inside = rates.mean(), float(many_symbols.fano(rates, 2).mean())
        rows = wrong = 0
        for k in range(draws):
            rate = 1 / (1 + np.exp(-(base + spread * rng.normal(size=models))))
            truth = rng.integers(0, 2, models * canaries)
            right = rng.random((models, canaries)) < rate[:, None]
            guess = np.where(right.ravel(), truth, 1 - truth)
            rows += float(binary_channel.rate_low(right.sum(), right.size, ALPHA)) > mean
            where = np.repeat(np.arange(models), canaries)
            wrong += k < coded and cluster_lower(truth, guess, where, rng) > inside
        yield Row("(8) clusters", f"as rows, sd {spread}", draws, rows, must_fail=True)
        yield Row("(8) clusters", f"by cluster, sd {spread}", coded, wrong)
    # The hardest law: each cluster leaks everything or nothing. Exact joint information.
    for models in (1, 8, 16, 64):
        for slack in (0.0, 0.02):
            bits, draws = 64, times(200, scale)
            q = min(1.0, ALPHA ** (1 / models) * (1 - slack))
            each = q * 1.0 - float(entropy(q)) / bits
            wrong = 0
            for _ in range(draws):
                truth = rng.integers(0, 2, (models, bits))
                leaks = rng.random(models) < q
                guess = np.where(leaks[:, None], truth, rng.integers(0, 2, truth.shape))
                where = np.repeat(np.arange(models), bits)
                wrong += cluster_lower(truth.ravel(), guess.ravel(), where, rng) > each
            yield Row("(8) clusters", f"all-or-nothing, {models} clusters, q={q:.3f}", draws, wrong)


# (9) the bootstrap of TPR at an FPR: the exact law against plain resampling.
def bootstrap(scale: float, rng: Rng) -> Iterator[Row]:
    draws, alarms = times(60, scale), 0
    for _ in range(draws):
        scores = ScorePair.split(rng.normal(1, 1, 120), rng.normal(0, 1, 150))
        j = 8
        exact = bootstrap_tpr(scores, j, rng, 600)
        pos = rng.choice(scores.positives.values, (600, 120))
        neg = np.sort(rng.choice(scores.negatives.values, (600, 150)), axis=1)
        plain = (pos > neg[:, 150 - j][:, None]).mean(1)
        alarms += ks_p(exact, plain) < ALPHA
    yield Row("(9) bootstrap", "KS, exact law against resampling", draws, alarms)


def ks_p(x: np.ndarray, y: np.ndarray) -> float:
    from scipy.special import kolmogorov

    both = np.concatenate([x, y])
    gap = np.abs(
        np.searchsorted(np.sort(x), both, "right") / len(x)
        - np.searchsorted(np.sort(y), both, "right") / len(y)
    ).max()
    return float(kolmogorov(gap * math.sqrt(len(x) * len(y) / (len(x) + len(y)))))


# (11) data processing: the certified end-to-end bits of a random cascade stay under its bound.
def cascades(scale: float, rng: Rng) -> Iterator[Row]:
    draws, wrong, n = times(2000, scale), 0, 400
    for _ in range(draws):
        first, second = rng.random(2) * 0.4, rng.random(2) * 0.4
        a1, b1 = 1 - first[0], first[1]
        a2, b2 = 1 - second[0], second[1]
        limit = min(float(binary_channel.bits(a1, b1)), float(binary_channel.capacity(a2, b2)))
        a, b = a1 * a2 + (1 - a1) * b2, b1 * a2 + (1 - b1) * b2
        found = two_rates.lower(rng.binomial(n, a), n, rng.binomial(n, b), n, ALPHA, of=("bits",))
        wrong += float(found["bits"]) > limit
    yield Row("(11) DPI", f"random two-stage cascades, n={n}", draws, wrong)

"""The RANK answer form: the rank of the true secret among R candidates → bits and exposure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.channel.bounds import degenerate_intervals, profile_likelihood
from hartley.channel.bounds.degenerate_intervals import ALONE, LONE
from hartley.channel.bounds.prequential import ClusterGains, runs_of, stages, thinned
from hartley.channel.readouts.information import (
    FEW_CLUSTERS,
    HALVINGS,
    RARE,
    by_cluster,
    falling,
    folds_of,
    halfway,
    one_reader,
)
from hartley.channel.readouts.reading import Lows, Reading
from hartley.channel.readouts.symbol import design
from hartley.core import ChannelSpec
from hartley.infotheory import binary_channel
from hartley.infotheory.e_values import mean_interval
from hartley.infotheory.surprisal import (
    certificate,
    expected_exposure,
    exposure,
    log2_exposure_tail,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Whole = NDArray[np.int64]

LN2 = math.log(2.0)


def measure_rank(
    rank: Whole,
    cluster: Whole | None,
    spec: ChannelSpec,
    rng: np.random.Generator,
    *,
    full: bool = True,
    certify: bool = False,
) -> Reading:
    """Measure ranks 1..R of planted secrets among ``spec.alphabet`` candidates.

    I_F = max over laws f of the rank that do not increase with it of E[log2 R·f(rank)]: a secret
    that does not leak has a uniform rank. Certified for independent uses by "the secret is among
    the first k", whose rate p gives I ≥ d(p ‖ k/R) (k powers of four; half of its share of alpha is
    for k = 1), or by a prequential code of the rank.

    Args:
        rank: (n,) ranks 1..R.
        cluster: (n,) integers 0..m−1 when rows of one cluster are dependent, else None.
        spec: the declaration; R = ``spec.alphabet``.
        rng: for folds and the order of the code.
        full: False leaves out the metrics and the leakage (null arm).
        certify: with the certified bound at alpha, where ``full`` is False.
    """
    r, n = spec.alphabet, len(rank)
    weight = np.full(n, 1.0 / n)
    if cluster is not None:
        weight = 1.0 / (np.bincount(cluster)[cluster] * (int(cluster.max()) + 1.0))
    edges = octaves(r)
    bucket = np.searchsorted(edges, rank, side="right") - 1
    fold = folds_of(n, cluster, rng)
    held_out = np.zeros(n)
    for part in range(int(fold.max()) + 1):
        rest = fold != part
        if rest.all() or not rest.any():
            continue
        law = rank_reader(np.bincount(bucket[rest], weight[rest] * n, len(edges)), edges, r)
        held_out[~rest] = (weight * law[bucket])[~rest]
    raw, gains = _in_sample(rank, weight, r)
    point = halfway(raw, float(held_out.sum()))
    lows: Lows = ()
    method = "point"
    if full or certify:
        lows, method = _certify(rank, cluster, spec, rng, HALVINGS if full else 1)
        if cluster is not None:
            lows = falling(one_reader([*lows], by_cluster(held_out, weight, cluster)))
    assumed: tuple[str, ...] = ("secrets uniform on the candidates",)
    if cluster is None:
        assumed = ("uses independent", *assumed)
    else:
        m = int(cluster.max()) + 1
        assumed = (*assumed, "clusters independent", *((ALONE, LONE) if m == 1 else ()))
    reading = Reading(
        point,
        raw,
        lows[0][1] if lows else 0.0,
        _upper_end(rank, gains, weight, cluster, spec),
        method,
        assumed,
        lows=lows,
        quantity="I_F: bits a use through the best law that does not increase with the rank"
        + ("" if cluster is None else ", mean over clusters"),
    )
    if not full:
        return reading
    return replace(
        reading,
        leakage=None
        if not spec.planted
        else certificate(
            log2_exposure_tail(rank, r), spec.alpha, uses=n, method="surprisal of exposures"
        ),
        metrics=usual_metrics(rank, cluster, spec),
    )


def usual_metrics(rank: Whole, cluster: Whole | None, spec: ChannelSpec) -> dict[str, Any]:
    """Return the usual metrics of ranks; the arguments are those of ``measure_rank``."""
    r, n = spec.alphabet, len(rank)
    exposures = exposure(rank, r)
    wide, units = design(exposures, cluster, spread=True)
    error = float(exposures.std(ddof=1)) * math.sqrt(wide / n) if n > 1 else math.inf
    most = math.log2(r)
    mean = min(most, float(exposures.mean()))
    ends = degenerate_intervals.no_variance_limits(mean, units or n, spec.alpha, 0.0, most)
    if units != 1 and exposures.min() < exposures.max():
        step = math.sqrt(profile_likelihood.quantile(spec.alpha, units or n)) * error
        ends = max(0.0, mean - step), min(most, mean + step)
        # An exposure is bounded: with few units a mean's skew shows, and a bet on it does not err.
        if (units or n) <= SKEWED:
            values = (
                exposures
                if cluster is None
                else np.bincount(cluster, exposures) / np.bincount(cluster)
            )
            low, high = mean_interval(values / most, 2.0 * spec.alpha)
            ends = min(ends[0], low * most), max(ends[1], high * most)
    return {
        "exposure": {"value": mean, "low": ends[0], "high": ends[1], "n": n},
        "exposure_null": expected_exposure(r),
        "exposure_max": most,
        "accuracy": degenerate_intervals.share_interval(rank == 1, cluster, spec.alpha),
        "chance": 1.0 / r,
    }


def _excess(p: float, k: float, candidates: int) -> float:
    """d(p ‖ k/R) in bits where p is above chance, else 0."""
    from scipy.special import rel_entr

    q = min(1.0, k / candidates)
    if p <= q:
        return 0.0
    return float(rel_entr(p, q) + rel_entr(1.0 - p, 1.0 - q)) / LN2


def octaves(candidates: int) -> Whole:
    """Return the first ranks of buckets that each span half an octave or one rank, from 1."""
    steps = np.arange(2 * candidates.bit_length())
    starts = np.unique(np.ceil(2.0 ** (steps / 2.0) - 1e-9).astype(np.int64))
    return np.asarray(starts[starts <= candidates], np.int64)


def rank_reader(counts: NDArray[Any], edges: Whole, candidates: int) -> Array:
    """Return log2 R·f of a rank in each bucket, for a law learned from counts, in bits.

    ``PRIOR`` rows are added before: half of them spread over the ranks, half over the buckets. The
    law is then made to fall with the rank.
    """
    from scipy.optimize import isotonic_regression

    widths = np.diff([*edges.tolist(), candidates + 1]).astype(np.float64)
    prior = 0.5 * widths / candidates + 0.5 / len(widths)
    chance = (counts + PRIOR * prior) / (counts.sum() + PRIOR)
    density = isotonic_regression(chance / widths, weights=widths, increasing=False).x
    return np.asarray(np.log2(candidates * density))


SKEWED = 16
"""Units up to which the exposure's limits are at least as wide as a bet's (E8)."""
PRIOR = 2.0
"""Rows that the law of a rank is worth before any was seen."""
EXACT = 4096
"""Most distinct ranks that the sample's maximum is taken over exactly; else over half octaves."""


def _in_sample(rank: Whole, weight: Array, candidates: int) -> tuple[float, Array]:
    """Return the maximum over falling laws on the sample (Grenander's), and (n,) its rows' bits."""
    from scipy.optimize import isotonic_regression

    ends = np.unique(rank)
    if len(ends) > EXACT:
        ends = np.unique([*(octaves(candidates)[1:] - 1).tolist(), candidates])
    ends = ends if ends[-1] == candidates else np.append(ends, candidates)
    widths = np.diff([0, *ends.tolist()]).astype(np.float64)
    where = np.searchsorted(ends, rank)
    mass = np.bincount(where, weight, len(ends))
    density = isotonic_regression(mass / widths, weights=widths, increasing=False).x
    with np.errstate(divide="ignore"):
        bits = np.log2(candidates * density)
    gains = bits[where]
    return float((weight * gains).sum()), gains


def _upper_end(
    rank: Whole, gains: Array, weight: Array, cluster: Whole | None, spec: ChannelSpec
) -> float:
    """Return the larger of two upper ends; the ceiling where there are too few rows or clusters.

    The sample's maximum plus z (t over clusters) errors, and the most bits of a rank among the
    first k at the upper limit of its rate. The second serves where few secrets leak, and those
    wholly: hardly any row then shows the spread.
    """
    from scipy.special import betaincinv, ndtri, stdtrit

    most, raw = math.log2(max(1, spec.alphabet)), float((weight * gains).sum())
    rows = 1.0 / float((weight**2).sum())
    means = gains
    if cluster is not None:
        means = np.asarray(np.bincount(cluster, weight * gains) * (int(cluster.max()) + 1.0))
    m = len(means)
    if m < (RARE if cluster is None else FEW_CLUSTERS):
        return most
    quantile = ndtri(1.0 - spec.alpha) if cluster is None else stdtrit(m - 1, 1.0 - spec.alpha)
    high = raw + float(quantile) * float(means.std(ddof=1)) / math.sqrt(m)
    for k in _firsts(spec.alphabet).tolist():
        hit = weight * (rank <= k)
        rate, n = float(hit.sum()), rows
        if cluster is not None and 0.0 < rate < 1.0:
            error = float((np.bincount(cluster, hit) * m).var(ddof=1)) / m
            n = min(rows, rate * (1.0 - rate) / max(error, 1e-12))
        if rate < 1.0:
            rate = float(betaincinv(rate * n + 1.0, n - rate * n, 1.0 - spec.alpha))
        high = max(high, _excess(rate, k, spec.alphabet))
    return min(most, high)


def _firsts(candidates: int) -> Whole:
    """Return the k, powers of four, for which "among the first k" is asked."""
    return np.asarray(4 ** np.arange(max(1, math.ceil(math.log(max(candidates, 2), 4)))))


def _certify(
    rank: Whole,
    cluster: Whole | None,
    spec: ChannelSpec,
    rng: np.random.Generator,
    halvings: int,
) -> tuple[Lows, str]:
    r, n, edges = spec.alphabet, len(rank), octaves(spec.alphabet)
    bucket = np.searchsorted(edges, rank, side="right") - 1
    alphas = [spec.alpha / 2**i for i in range(halvings)]
    if cluster is not None:
        code = _cluster_code(bucket, edges, cluster, r)
        m = int(cluster.max()) + 1
        lows = code.lowers(alphas)
        return falling(lows), f"prequential code and betting over {m} clusters"
    gains = None
    if n >= FROM_ROWS:
        values, floors = [], []
        shuffled = bucket[rng.permutation(n)]
        for start, stop in stages(n):
            law = rank_reader(np.bincount(shuffled[:start], minlength=len(edges)), edges, r)
            values.append(law[shuffled[start:stop]])
            floors.append(np.full(stop - start, law.min()))
        gains = thinned(np.concatenate(values), np.concatenate(floors))
    ks = _firsts(r)
    within = (rank[:, None] <= ks).sum(0)
    lows = []
    for alpha in alphas:
        level = alpha if gains is None else (1.0 - CODE) * alpha
        shares = np.where(ks == 1, 0.5, 0.5 / max(1, len(ks) - 1)) * level
        rates = binary_channel.clopper_pearson(within, n, shares)[0]
        low = max(_excess(float(p), k, r) for p, k in zip(rates, ks.tolist(), strict=True))
        lows.append((alpha, max(low, 0.0 if gains is None else gains.lower(CODE * alpha))))
    name = f"rank among the first k, {len(ks)} pre-declared k"
    return falling(lows), name if gains is None else f"{name}, or prequential code and betting"


FROM_ROWS, CODE = 64, 0.75
"""Uses from which the prequential code is read, and its share of the error level."""


def _cluster_code(bucket: Whole, edges: Whole, cluster: Whole, candidates: int) -> ClusterGains:
    m = int(cluster.max()) + 1
    table = np.bincount(cluster * len(edges) + bucket, minlength=m * len(edges))
    table = table.reshape(m, len(edges)).astype(np.float64)
    before = np.cumsum(table, 0)
    log_ratios = np.zeros(m)
    for start, stop in runs_of(m):
        law = rank_reader(before[start - 1], edges, candidates)
        log_ratios[start:stop] = table[start:stop] @ law
    return ClusterGains(log_ratios[:, None], table.sum(1))

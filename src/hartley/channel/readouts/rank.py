"""The RANK answer form: the rank of the true secret among R candidates → bits and exposure."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.channel.bounds import cluster_code, degenerate_intervals, profile_likelihood
from hartley.channel.readouts.reading import Reading
from hartley.channel.readouts.symbol import by_cluster, design
from hartley.core import ChannelSpec
from hartley.infotheory import binary_channel
from hartley.infotheory.surprisal import (
    certificate,
    expected_exposure,
    exposure,
    log2_exposure_tail,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Whole = NDArray[np.int64]

LN2 = math.log(2.0)


def measure_rank(
    rank: Whole, cluster: Whole | None, spec: ChannelSpec, *, full: bool = True
) -> Reading:
    """Measure ranks 1..R of planted secrets among ``spec.alphabet`` candidates.

    "The secret is among the first k" happens with chance k/R when nothing leaks, so that its rate p
    certifies I ≥ d(p ‖ k/R) (data processing); k = 1 is Fano. The k are powers of four, fixed
    beforehand; half of alpha is for k = 1.
    """
    r, n = spec.alphabet, len(rank)
    wide, units = design((rank == 1).astype(float), cluster)
    ks = 4 ** np.arange(max(1, math.ceil(math.log(max(r, 2), 4))))
    raw, point = _rank_bits(rank, ks, r, wide)
    within = (rank[:, None] <= ks).sum(0)
    spans = [
        profile_likelihood.accuracy_interval(c / wide, n / wide, alpha=spec.alpha, clusters=units)
        for c in within
    ]
    low = max(_excess(span[0], k, r) for span, k in zip(spans, ks.tolist(), strict=True))
    high = max(point, *(_excess(span[1], k, r) for span, k in zip(spans, ks.tolist(), strict=True)))
    if cluster is None:
        alphas = np.where(ks == 1, 0.5, 0.5 / max(1, len(ks) - 1)) * spec.alpha
        rates = binary_channel.clopper_pearson(within, n, alphas)[0]
        lower = max(_excess(float(p), k, r) for p, k in zip(rates, ks.tolist(), strict=True))
        method = f"rank among the first k, {len(ks)} pre-declared k, Clopper–Pearson"
        assumed: tuple[str, ...] = ("uses independent", "secrets uniform on the candidates")
    else:
        gain = cluster_code.rank_gains(rank, cluster, r)
        lower = cluster_code.certified_bits(gain, np.bincount(cluster).astype(float), spec.alpha)
        method, assumed = by_cluster(cluster)
    reading = Reading(max(point, 0.0), raw, lower, high, low, method, assumed)
    if not full:
        return reading
    exposures = exposure(rank, r)
    wide, units = design(exposures, cluster, spread=True)
    error = float(exposures.std(ddof=1)) * math.sqrt(wide / n) if n > 1 else math.inf
    most = math.log2(r)
    mean = min(most, float(exposures.mean()))
    ends = degenerate_intervals.no_variance_limits(mean, units or n, spec.alpha / 2, 0.0, most)
    if units != 1 and exposures.min() < exposures.max():
        step = math.sqrt(profile_likelihood.quantile(spec.alpha / 2, units)) * error
        ends = max(0.0, mean - step), min(most, mean + step)
    return replace(
        reading,
        leakage=certificate(
            log2_exposure_tail(rank, r), spec.alpha, uses=n, method="surprisal of exposures"
        ),
        metrics={
            "exposure": {"value": mean, "low": ends[0], "high": ends[1], "n": n},
            "exposure_null": expected_exposure(r),
            "exposure_max": most,
            "accuracy": degenerate_intervals.share_interval(rank == 1, cluster, spec.alpha),
            "chance": 1.0 / r,
        },
    )


def _excess(p: float, k: float, candidates: int) -> float:
    """d(p ‖ k/R) in bits where p is above chance, else 0."""
    from scipy.special import rel_entr

    q = min(1.0, k / candidates)
    if p <= q:
        return 0.0
    return float(rel_entr(p, q) + rel_entr(1.0 - p, 1.0 - q)) / LN2


def _rank_bits(rank: Whole, ks: Whole, candidates: int, wide: float) -> tuple[float, float]:
    """Plug-in bits at the best k, and cross-fitted ones: each fifth read at the others' best k."""
    n = len(rank)
    fold = np.arange(n) % 5
    hit = rank[:, None] <= ks
    by = np.stack([np.bincount(fold, weights=h, minlength=5) for h in hit.T])
    sizes = np.bincount(fold, minlength=5)
    total = by.sum(1)
    raw = max(_excess(t / n, k, candidates) for t, k in zip(total, ks.tolist(), strict=True))
    hits = chance = 0.0
    for f in range(5):
        left = max(1, n - int(sizes[f]))
        others = [
            _excess((t - own_hits) / left, k, candidates)
            for t, own_hits, k in zip(total, by[:, f], ks.tolist(), strict=True)
        ]
        best = int(np.argmax(others))
        hits += by[best, f]
        chance += sizes[f] * ks[best]
    p = hits / n
    bias = wide / (2 * n * LN2) if 0.0 < p < 1.0 else 0.0
    return raw, max(0.0, _excess(p, chance / n, candidates) - bias)

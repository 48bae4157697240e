"""N-way retrieval: certified information between continuous variables, where KSG estimates (E7).

The auditor hides the true partner among decoys of the same law; the share of hits is a binomial,
and Fano turns it into bits. InfoNCE uses the same scores in more detail, but without a
finite-sample guarantee, and like retrieval it is at most log2 N.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Kind, Quantity
from hartley.core.errors import UsageError
from hartley.infotheory.closed_forms import symmetric_capacity
from hartley.infotheory.gaussian import LOG2E
from hartley.infotheory.ksg import cross_check, ksg
from hartley.infotheory.leakage import betting_lower

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Critic = Callable[[Floats, Floats], Floats]


def n_way(
    scores: ArrayLike,
    truth: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    alpha: float = 0.05,
) -> Quantity:
    """Bits per use that N-way identification certifies: Fano at a lower bound on its hit rate.

    Args:
        scores: (n, N) score of each candidate, larger = likelier.
        truth: (n,) place of the true one, drawn uniformly by the auditor.
        cluster: (n,) integers; rows of one cluster (candidates shared, one batch) are dependent.
            Each cluster then counts once, by its mean.
        alpha: error level.

    Returns:
        kind ``certified``; at most log2 N.

    Raises:
        UsageError: shapes do not match, there are NaN, or 0 rows.
    """
    s, t = np.asarray(scores, dtype=np.float64), np.asarray(truth)
    if s.ndim != 2 or 0 in s.shape or t.shape != s.shape[:1] or np.isnan(s).any():
        raise UsageError(f"scores must be (n, N) and places (n,), got {s.shape}, {t.shape}")
    n, ways = s.shape
    if t.dtype.kind not in "iu" or (t < 0).any() or (t >= ways).any():
        raise UsageError(f"the true place must be an integer in 0..{ways - 1}")
    rivals = s.copy()
    rivals[np.arange(n), t] = -np.inf
    # A tie is a miss: a constant score must not gain from the order of the candidates.
    hits = s[np.arange(n), t] > rivals.max(1)
    if cluster is None:
        low, units = _binomial_lower(int(hits.sum()), n, alpha), n
        how = "exact binomial"
    else:
        means = _cluster_means(hits, np.asarray(cluster))
        low, units = betting_lower(means, alpha=alpha), len(means)
        how = "betting over clusters"
    return Quantity(
        name="mutual information",
        value=_fano(float(hits.mean()), ways),
        lower=_fano(low, ways),
        kind=Kind.CERTIFIED,
        alpha=alpha,
        n=n,
        clusters=units,
        method=f"{ways}-way retrieval, Fano, {how}",
        assumptions=("true place uniform", "matcher fixed before these trials"),
    )


def info_nce(scores: ArrayLike, *, alpha: float = 0.05) -> Quantity:
    """InfoNCE bits of a frozen critic on held-out batches; in expectation never above I, or log2 N.

    Args:
        scores: (batches, N, N) log-density ratios (nats, up to a constant); [b, i, i] is the true
            pair.
        alpha: error level of the one-sided t bound over batches.

    Returns:
        kind ``calibrated`` with two batches or more, else ``estimate``.

    Raises:
        UsageError: ``scores`` is not a stack of square tables.
    """
    from scipy.special import logsumexp, stdtrit

    s = np.asarray(scores, dtype=np.float64)
    if s.ndim != 3 or s.shape[1] != s.shape[2] or 0 in s.shape or not np.isfinite(s).all():
        raise UsageError(f"scores must be finite with shape (batches, N, N), got {s.shape}")
    batches, ways = s.shape[:2]
    true_scores = np.einsum("bii->bi", s)
    each = (true_scores - logsumexp(s, axis=2)).mean(1) * LOG2E + math.log2(ways)
    value = float(each.mean())
    lower = None
    if batches > 1:
        error = float(each.std(ddof=1)) / math.sqrt(batches)
        lower = max(0.0, value + float(stdtrit(batches - 1, alpha)) * error)
    return Quantity(
        name="mutual information",
        value=value,
        lower=lower,
        kind=Kind.ESTIMATE if lower is None else Kind.CALIBRATED,
        alpha=None if lower is None else alpha,
        n=batches * ways,
        clusters=batches,
        method=f"InfoNCE, batch {ways}, at most {math.log2(ways):g} bit",
        assumptions=("critic frozen before these batches", "independent batches"),
    )


def info_nce_optimum(alphabet: int, batch: int) -> float:
    """Return the expected InfoNCE of the *best* critic on a noiseless K-ary channel, in bits.

    The channel carries log2 K, but decoys that equal the truth hide part of it:
    E log2(N/(1 + Binomial(N − 1, 1/K))) (MEASURE C59: 1.681 of 2 bits at batch 8).
    """
    if alphabet < 1 or batch < 1:
        raise UsageError(f"alphabet and batch must be 1 or more, got {alphabet} and {batch}")
    p, n = 1.0 / alphabet, batch - 1
    mass = [math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(n + 1)]
    return sum(m * math.log2(batch / (1 + j)) for j, m in enumerate(mass))


def gaussian_critic(x: ArrayLike, y: ArrayLike) -> Critic:
    """A critic that knows only covariances: log p(x, y)/p(x)p(y) of the Gaussian fitted here.

    Args:
        x: (n, dx) tuning samples.
        y: (n, dy) tuning samples, row for row.

    Returns:
        (a (N, dx), b (N, dy)) → (N, N) scores in nats, up to a constant.
    """
    a, b = _table(x), _table(y)
    joint = np.column_stack([a, b])
    centre = joint.mean(0)
    dx = a.shape[1]
    cov = np.cov(joint.T).reshape(joint.shape[1], -1)
    cov += 1e-9 * np.trace(cov) / len(cov) * np.eye(len(cov))
    precise = np.linalg.inv(cov)
    own_precision = [precise[:dx, :dx] - np.linalg.inv(cov[:dx, :dx])]
    own_precision.append(precise[dx:, dx:] - np.linalg.inv(cov[dx:, dx:]))

    def critic(left: Floats, right: Floats) -> Floats:
        u, v = left - centre[:dx], right - centre[dx:]
        square = [
            np.einsum("ni,ij,nj->n", z, m, z) for z, m in zip((u, v), own_precision, strict=True)
        ]
        cross = u @ precise[:dx, dx:] @ v.T
        return np.asarray(-0.5 * (square[0][:, None] + square[1]) - cross)

    return critic


def audited_ksg(
    x: ArrayLike, y: ArrayLike, k: int = 3, *, batch: int = 64, alpha: float = 0.05
) -> Quantity:
    """KSG, flagged when a Gaussian critic on the other half of the data proves it too low.

    The critic is fitted on even rows and judged on odd rows, by retrieval (certified) and InfoNCE
    (calibrated), each at ``alpha``/2. The order of the rows must not depend on their values.
    """
    a, b = _table(x), _table(y)
    estimate = ksg(a, b, k)
    batches = (len(a) // 2) // batch
    if batches < 2:
        return estimate
    critic = gaussian_critic(a[::2], b[::2])
    held_out = slice(1, 2 * batches * batch, 2)
    pairs = zip(np.split(a[held_out], batches), np.split(b[held_out], batches), strict=True)
    scores = np.stack([critic(u, v) for u, v in pairs])
    flat = scores.reshape(-1, batch)
    places = np.tile(np.arange(batch), batches)
    certified = n_way(flat, places, cluster=np.repeat(np.arange(batches), batch), alpha=alpha / 2)
    return cross_check(estimate, certified, info_nce(scores, alpha=alpha / 2))


def _fano(accuracy: float, ways: int) -> float:
    return symmetric_capacity(ways, accuracy) if accuracy > 1.0 / ways else 0.0


def _binomial_lower(hits: int, n: int, alpha: float) -> float:
    from scipy.special import betaincinv

    return float(betaincinv(hits, n - hits + 1, alpha)) if hits else 0.0


def _cluster_means(hits: NDArray[np.bool_], cluster: NDArray[Any]) -> Floats:
    if cluster.shape != hits.shape:
        raise UsageError(f"cluster must have shape ({len(hits)},), got {cluster.shape}")
    _, index, size = np.unique(cluster, return_inverse=True, return_counts=True)
    return np.asarray(np.bincount(index, weights=hits) / size)


def _table(x: ArrayLike) -> Floats:
    a = np.asarray(x, dtype=np.float64)
    return a[:, None] if a.ndim == 1 else a

"""A discrete channel as a matrix: rows are inputs, columns are outputs, rows sum to 1.

Everything here is exact for a fully known channel. K inputs, M outputs, bits unless a name says
otherwise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

LOG2E = float(np.log2(np.e))
TINY = 1e-290
"""Probabilities below this count as 0: their products underflow, and no bit depends on them."""
SLACK = 1e-9
"""Largest rounding error of a row sum; further from 1 the matrix is not a channel."""


def as_channel(w: ArrayLike) -> Floats:
    """Return ``w`` as a (K, M) float64 channel, rows scaled to 1 where rounding was off.

    Raises:
        UsageError: empty, not 2-D, NaN, negative, or a row that does not sum to 1.
    """
    a = np.array(w, dtype=np.float64)
    if a.ndim != 2 or 0 in a.shape:
        raise UsageError(f"a channel must be a matrix of shape (inputs, outputs), got {a.shape}")
    if not np.isfinite(a).all() or (a < 0).any():
        raise UsageError("a channel must hold probabilities, got NaN or negative entries")
    sums = a.sum(1)
    off = np.nonzero(np.abs(sums - 1.0) > SLACK)[0]
    if len(off):
        raise UsageError(
            f"row {off[0]} of the channel must sum to 1, got {sums[off[0]]:.6g}"
            + (" (an input without any output)" if sums[off[0]] == 0 else "")
        )
    a[a < TINY] = 0.0
    return np.asarray(a / sums[:, None])


def as_prior(prior: ArrayLike | None, inputs: int) -> Floats:
    """Return a (K,) distribution; uniform when ``prior`` is None.

    Raises:
        UsageError: a wrong length, NaN, negative, or a sum other than 1.
    """
    if prior is None:
        return np.full(inputs, 1.0 / inputs)
    p = np.array(prior, dtype=np.float64)
    if p.shape != (inputs,):
        raise UsageError(f"the prior of {inputs} inputs must have shape ({inputs},), got {p.shape}")
    if not np.isfinite(p).all() or (p < 0).any() or abs(p.sum() - 1.0) > SLACK:
        raise UsageError(f"a prior must hold probabilities that sum to 1, got a sum of {p.sum():g}")
    return np.asarray(p / p.sum())


def entropy(p: ArrayLike) -> float:
    """Shannon entropy of a distribution, in bits."""
    q = as_prior(p, np.size(np.asarray(p)))
    q = q[q > 0]
    return float(-(q @ np.log2(q)))


def divergences(w: Floats, q: Floats) -> Floats:
    """Return the divergence D(W_x ‖ q) (K,) of each row, in bits; +inf where q lacks mass.

    Computed as −H(W_x) − Σ W log q with one product, so its rounding error is about 1e-15 × the
    size of the logarithms.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log2(q)
        negative_entropy = np.where(w > 0, w * np.log2(w), 0.0).sum(1)
    dead = q <= 0
    divergence = negative_entropy - w @ np.where(dead, 0.0, logs)
    if dead.any():
        divergence[(w[:, dead] > 0).any(1)] = np.inf
    return np.asarray(np.maximum(divergence, 0.0), dtype=np.float64)


def mutual_information(w: ArrayLike, prior: ArrayLike | None = None) -> float:
    """I(X; Y) in bits at ``prior`` (uniform when None)."""
    a = as_channel(w)
    p = as_prior(prior, len(a))
    used = p > 0
    # The mass of a very rare output may round to 0; the floor keeps its divergence finite.
    return float(p[used] @ divergences(a[used], np.maximum(p @ a, 1e-300)))


def min_capacity(w: ArrayLike) -> float:
    """Min-capacity = maximal leakage, log2 Σ_o max_s P(o|s) (Issa–Wagner–Kamath 1807.07878)."""
    return float(np.log2(as_channel(w).max(0).sum()))


def eta_tv(w: ArrayLike) -> float:
    """Dobrushin's coefficient: the largest total variation between two rows."""
    a = as_channel(w)
    return max(
        (float(0.5 * np.abs(a[i + 1 :] - a[i]).sum(1).max()) for i in range(len(a) - 1)),
        default=0.0,
    )


def eta_kl(w: ArrayLike) -> float:
    """Contraction coefficient for information: I(U; Y) ≤ η_KL · I(U; X) for every U → X → Y.

    Two inputs suffice (Ordentlich–Polyanskiy 2010.01987): η_KL is the largest Le Cam divergence
    β(1−β)·Σ (P−Q)²/(βP + (1−β)Q) over pairs of rows and β. Each term is a parallel sum of two
    linear functions of β, hence concave, so a ternary search over β is exact.
    """
    a = as_channel(w)
    best = 0.0
    for i in range(len(a) - 1):
        p, q = a[i][None], a[i + 1 :]
        square = (p - q) ** 2
        low, high = np.zeros(len(q)), np.ones(len(q))
        for _ in range(64):
            third = (high - low) / 3
            left, right = low + third, high - third
            up = _le_cam(p, q, square, left) < _le_cam(p, q, square, right)
            low, high = np.where(up, left, low), np.where(up, high, right)
        best = max(best, float(_le_cam(p, q, square, 0.5 * (low + high)).max()))
    return min(1.0, best)


def _le_cam(p: Floats, q: Floats, square: Floats, beta: Floats) -> Floats:
    b = beta[:, None]
    mix = b * p + (1 - b) * q
    ratio = np.divide(square, mix, out=np.zeros_like(mix), where=mix > 0)
    return np.asarray(beta * (1 - beta) * ratio.sum(1), dtype=np.float64)


def chernoff_information(p: ArrayLike, q: ArrayLike) -> float:
    """Best exponent (bits per look) of the error when distinguishing law ``p`` from law ``q``.

    −min over λ of log2 Σ p^λ·q^(1−λ); +inf when their supports are disjoint.
    """
    a = as_channel(np.stack([np.asarray(p, dtype=np.float64), np.asarray(q, dtype=np.float64)]))
    both = (a > 0).all(0)
    if not both.any():
        return float("inf")
    logs = np.log(a[:, both])
    slope = logs[0] - logs[1]

    def derivative(at: float) -> float:
        weight = np.exp(at * logs[0] + (1 - at) * logs[1])
        return float(weight @ slope)

    low, high = 0.0, 1.0  # the sum is convex in λ, so its derivative rises
    for _ in range(100):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if derivative(middle) < 0 else (low, middle)
    at = 0.5 * (low + high)
    return max(0.0, float(-np.log2(np.exp(at * logs[0] + (1 - at) * logs[1]).sum())))


def repeated(w: ArrayLike, looks: int, limit: int = 200_000) -> Floats:
    """The channel of ``looks`` independent uses with the same input, by its sufficient statistic.

    Outputs are the counts of each symbol, C(looks + M − 1, M − 1) of them.

    Raises:
        UsageError: fewer than one look, or more than ``limit`` outcomes.
    """
    from math import comb, lgamma

    a = as_channel(w)
    if looks < 1:
        raise UsageError(f"looks must be once or more, got {looks}")
    m = a.shape[1]
    if comb(looks + m - 1, m - 1) > limit:
        raise UsageError(
            f"outcomes of {looks} looks at {m} outputs must be at most limit={limit}, "
            f"got {comb(looks + m - 1, m - 1)}"
        )
    counts = np.array([[looks]])
    for left in range(m - 1, 0, -1):
        # Split the remainder of every partial count in all ways between this symbol and the rest.
        del left
        rest = counts[:, -1]
        parts = np.repeat(counts[:, :-1], rest + 1, axis=0)
        here = np.concatenate([np.arange(r + 1) for r in rest])
        counts = np.column_stack([parts, here, np.repeat(rest, rest + 1) - here])
    log_ways = np.vectorize(lgamma)(np.arange(looks + 2) + 1.0)
    ways = log_ways[looks] - log_ways[counts].sum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(a)
    out = np.empty((len(a), len(counts)))
    for x, row in enumerate(logs):
        terms = np.where(counts > 0, counts * np.where(counts > 0, row, 0.0), 0.0).sum(1)
        out[x] = np.exp(ways + terms)
    return np.asarray(out / out.sum(1, keepdims=True))


def cascade(*stages: ArrayLike) -> Floats:
    """The matrix product of channels in series, each depending on the one before only (Markov).

    Raises:
        UsageError: the outputs of a stage are not the inputs of the next.
    """
    matrices = [as_channel(s) for s in stages]
    whole = matrices[0]
    for k, stage in enumerate(matrices[1:], 2):
        if whole.shape[1] != stage.shape[0]:
            raise UsageError(
                f"stage {k} takes {stage.shape[0]} inputs, so the stage before must have as many "
                f"outputs, got {whole.shape[1]}"
            )
        whole = whole @ stage
    return whole

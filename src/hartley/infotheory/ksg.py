"""Mutual information of continuous samples (E7): estimates, never certificates.

KSG is too low in high dimension, without a warning (10 + 10 dimensions: −46 %). Its
kind is therefore ``estimate``, and ``cross_check`` compares it with an independent bound.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Kind, Quantity
from hartley.core.errors import UsageError
from hartley.infotheory.gaussian import LOG2E, gaussian_mi

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

TREE_UNTIL = 4
"""Largest joint dimension for which the tree beats the blocks (``bench/estimators.py``)."""
SHRINK = 1e-10
"""``u ± r`` rounds so that it may include the k-th neighbour itself, which costs 0.012 bit."""
GRID, FAR = 16000, np.iinfo(np.int16).max
"""Largest coordinate on the 16-bit grid, so that differences fit; the distance of the padding."""
CACHED, FOLD = 400_000, 32
STRAY = 0.005
"""Share of far-out points that may be kept off the grid, so that they do not coarsen it."""


def ksg(x: ArrayLike, y: ArrayLike, k: int = 3, *, method: str = "auto") -> Quantity:
    """Kraskov–Stögbauer–Grassberger estimate (their first) of I(X; Y), max-norm, in bits.

    Args:
        x: (n,) or (n, dx) samples.
        y: (n,) or (n, dy) samples, row i drawn with row i of ``x``.
        k: neighbours, 1 ≤ k < n.
        method: ``tree``, ``blocks``, or ``auto`` by dimension. They agree to rounding.

    Returns:
        kind ``estimate``; may be slightly negative.

    Raises:
        UsageError: lengths differ, NaN, too few samples, or points that coincide (KSG needs a
            density; discrete data has exact estimators).
    """
    a, b = _samples(x), _samples(y)
    n = len(a)
    if len(b) != n or not 1 <= k < n:
        raise UsageError(
            f"x and y must be paired with 1 ≤ k < n, got {n} and {len(b)} samples, k={k}"
        )
    if method not in {"auto", "tree", "blocks"}:
        raise UsageError(f"a KSG method must be auto, tree or blocks, got {method!r}")
    if method == "auto":
        d = a.shape[1] + b.shape[1]
        # Blocks cost n²; in d dimensions the tree catches up at about these sizes.
        method = "tree" if d <= TREE_UNTIL or n > 10_000 * 3 ** (d - 5) else "blocks"
    # One common scale: the max-norm compares coordinates, so they must keep their proportions.
    a, b = a - a.mean(0), b - b.mean(0)
    near_x, near_y = (_by_tree if method == "tree" else _by_blocks)(a, b, k)
    psi = np.concatenate([[np.nan, 0.0], np.cumsum(1.0 / np.arange(1, n))]) - np.euler_gamma
    nats = psi[k] + psi[n] - float(np.mean(psi[near_x] + psi[near_y]))
    return Quantity(
        name="mutual information",
        value=float(nats) * LOG2E,
        kind=Kind.ESTIMATE,
        n=n,
        method=f"KSG-1, k={k}, {method}",
        assumptions=("independent samples of a density",),
    )


def _by_tree(a: Floats, b: Floats, k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Counts of points strictly nearer than the k-th joint neighbour, the point itself included."""
    from scipy.spatial import cKDTree

    joint = np.column_stack([a, b])
    radius = cKDTree(joint).query(joint, [k + 1], p=np.inf)[0][:, 0]
    _no_ties(radius)
    radius = radius * (1.0 - SHRINK)
    return _within(a, radius), _within(b, radius)


def _within(u: Floats, radius: Floats) -> NDArray[np.intp]:
    from scipy.spatial import cKDTree

    if u.shape[1] > 1:
        counted = cKDTree(u).query_ball_point(u, radius, p=np.inf, return_length=True)
        return np.asarray(counted, dtype=np.intp)
    order = np.argsort(u[:, 0])
    line = u[order, 0]
    reach = radius[order]
    counts = np.empty(len(u), dtype=np.intp)
    # Sorted needles walk through memory in order, three times as fast as shuffled ones.
    counts[order] = np.searchsorted(line, line + reach, "right") - np.searchsorted(
        line, line - reach, "left"
    )
    return counts


def _by_blocks(a: Floats, b: Floats, k: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The same counts by all n² distances, a few rows at a time so that they stay in the cache.

    Distances are taken between points rounded to a 16-bit grid, four to eight times cheaper than
    real ones, and right to within one step. Only the few pairs that one step could change are
    measured exactly, so the counts are those of real arithmetic.
    """
    n = len(a)
    size = np.maximum(np.abs(a).max(1), np.abs(b).max(1))
    typical = float(np.quantile(size, 1.0 - STRAY))
    limit = typical if size.max() > 8.0 * typical and n > 8 * k + 8 else float(size.max())
    if limit == 0.0:
        _no_ties(np.zeros(n))
    order = np.argsort(size > limit, kind="stable")  # strays last: rows alike, columns off the grid
    near = int((size <= limit).sum())
    a, b = a[order], b[order]
    counts, radii = _of_strays(a, b, near, k)
    step = limit / GRID
    grids = [_on_grid(z[:near] / step) for z in (a, b)]
    wide = grids[0].shape[1]
    rows = max(1, min(64, CACHED // wide))
    room = [np.empty((rows, wide), np.int16) for _ in range(4)]
    for start in range(0, near, rows):
        block = slice(start, min(start + rows, near))
        dx, dy, joint, work = (part[: block.stop - start] for part in room)
        for grid, d in zip(grids, (dx, dy), strict=True):
            _max_norm(grid, block, d, work)
            d[:, near:] = FAR
        np.maximum(dx, dy, out=joint)
        radius = radii[block] = _radius(a, b, block, joint, k=k, near=near)
        for side, z, d in zip(counts, (a, b), (dx, dy), strict=True):
            side[block] = _nearer(z, block, d, work, radius, step=step, near=near)
    _no_ties(radii)
    back = np.argsort(order)
    return counts[0][back], counts[1][back]


def _of_strays(a: Floats, b: Floats, near: int, k: int) -> tuple[NDArray[np.intp], Floats]:
    """Room for all counts and radii, those of the points from ``near`` on filled in directly."""
    counts, radii = np.zeros((2, len(a)), dtype=np.intp), np.zeros(len(a))
    for i in range(near, len(a)):
        dx, dy = np.abs(a - a[i]).max(1), np.abs(b - b[i]).max(1)
        radii[i] = np.partition(np.maximum(dx, dy), k)[k]
        counts[:, i] = (dx < radii[i]).sum(), (dy < radii[i]).sum()
    return counts, radii


def _on_grid(z: Floats) -> NDArray[np.int16]:
    """Return coordinates (d, m) as integers, padded to a multiple of FOLD points."""
    grid = np.zeros((z.shape[1], -(-len(z) // FOLD) * FOLD), np.int16)
    grid[:, : len(z)] = np.rint(z).T
    return grid


def _max_norm(
    grid: NDArray[np.int16], block: slice, out: NDArray[np.int16], work: NDArray[np.int16]
) -> None:
    """Write the Chebyshev distances, in grid steps, of ``block`` to all points into ``out``."""
    np.subtract(grid[0, block, None], grid[0], out=out)
    np.abs(out, out=out)
    for axis in grid[1:]:
        np.subtract(axis[block, None], axis, out=work)
        np.abs(work, out=work)
        np.maximum(out, work, out=out)


def _radius(
    a: Floats, b: Floats, block: slice, joint: NDArray[np.int16], *, k: int, near: int
) -> Floats:
    """Exact distance of each point of ``block`` to its k-th joint neighbour.

    The columns are folded by minimum first: the rank-k entry of the folds bounds that of the row
    from above, so only the handful of pairs under it (two steps of rounding added) are candidates.
    """
    rows, wide = joint.shape
    folds = joint
    if wide // FOLD > 4 * k + 4:
        folds = joint.reshape(rows, FOLD, wide // FOLD).min(1)
    bound = np.partition(folds, k, axis=1)[:, k : k + 1]
    row, column = _pairs(joint <= np.minimum(bound, FAR - 3) + np.int16(2), near, len(a))
    distances = np.maximum(_distance(a, block, row, column), _distance(b, block, row, column))
    order = np.lexsort((distances, row))
    first = np.searchsorted(row[order], np.arange(rows))
    return np.asarray(distances[order][first + k])


def _nearer(
    z: Floats,
    block: slice,
    d: NDArray[np.int16],
    work: NDArray[np.int16],
    radius: Floats,
    *,
    step: float,
    near: int,
) -> NDArray[np.intp]:
    """Count the points strictly within ``radius`` of each point of ``block``, itself included."""
    reach = radius[:, None] / step
    sure = (np.ceil(reach - 1.001) - 1).astype(np.int16)
    doubt = (np.floor(reach + 1.001) - sure).astype(np.uint16)
    counts = np.array([np.count_nonzero(line) for line in d <= sure], dtype=np.intp)
    np.subtract(d, sure + np.int16(1), out=work)
    # As unsigned numbers, what was surely inside wraps to large values: one comparison for a band.
    row, column = _pairs(work.view(np.uint16) < doubt, near, len(z))
    inside = _distance(z, block, row, column) < radius[row]
    counts += np.bincount(row[inside], minlength=len(counts))
    return counts


def _pairs(mask: NDArray[np.bool_], near: int, n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the few true entries, and of every stray, which the mask does not cover.

    Eight columns are scanned at once; numpy finds true entries ten times as fast as non-zeros.
    """
    words = np.flatnonzero(mask.view(np.uint64) != 0)
    word, bit = np.nonzero(mask.reshape(-1, 8)[words])
    row, column = np.divmod(words[word] * 8 + bit, mask.shape[1])
    if near < n:
        row = np.concatenate([row, np.repeat(np.arange(len(mask)), n - near)])
        column = np.concatenate([column, np.tile(np.arange(near, n), len(mask))])
    return row, column


def _distance(z: Floats, block: slice, row: NDArray[np.intp], column: NDArray[np.intp]) -> Floats:
    return np.asarray(np.abs(z[block][row] - z[column]).max(1))


def gaussian_estimate(x: ArrayLike, y: ArrayLike) -> Quantity:
    """I(X; Y) as if both were jointly Gaussian, by log-determinants of the sample covariance.

    The plug-in's first-order bias, dx·dy/2n nats, is subtracted. For other laws it is only the part
    that linear prediction captures (in general not a bound in either direction).
    """
    a, b = _samples(x), _samples(y)
    n, dx, dy = len(a), a.shape[1], b.shape[1]
    if len(b) != n or n <= dx + dy + 1:
        raise UsageError(f"rows must be more than {dx + dy + 1} for {dx + dy} columns, got {n}")
    plug_in = gaussian_mi(np.cov(np.column_stack([a, b]).T), dx)
    return Quantity(
        name="mutual information",
        value=plug_in - dx * dy / (2 * n) * LOG2E,
        kind=Kind.ESTIMATE,
        n=n,
        method="Gaussian log-determinant",
        assumptions=("independent samples", "jointly Gaussian"),
    )


def cross_check(estimate: Quantity, *bounds: Quantity) -> Quantity:
    """Mark an estimate that a certified or calibrated lower bound contradicts.

    Args:
        estimate: for example from ``ksg``.
        bounds: lower bounds on the same information, for example from ``retrieval``.

    Returns:
        The estimate; where it lies below a bound, with an assumption "contradicted by …" that
        names the largest such bound. Its value stays as it is: mixing does not repair a wrong
        estimate.
    """
    above = [b for b in bounds if b.lower is not None and b.lower > estimate.value]
    if not above:
        return estimate
    worst = max(above, key=lambda b: b.lower or 0.0)
    note = f"contradicted by {worst.method}: at least {worst.lower:.3g} {worst.unit}"
    return replace(estimate, assumptions=(*estimate.assumptions, note))


def _samples(x: ArrayLike) -> Floats:
    a = np.asarray(x, dtype=np.float64)
    a = a[:, None] if a.ndim == 1 else a
    if a.ndim != 2 or 0 in a.shape or not np.isfinite(a).all():
        raise UsageError(f"samples must be finite numbers of shape (n,) or (n, d), got {a.shape}")
    return a


def _no_ties(radius: NDArray[np.floating]) -> None:
    if (radius <= 0).any():
        raise UsageError(
            f"samples must be continuous, got {int((radius <= 0).sum())} points that coincide "
            "with k "
            "others; measure discrete outputs as symbols"
        )

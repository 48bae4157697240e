"""How far a record lies from where a model changes its mind, asked in labels alone.

The search is that of HopSkipJump (arXiv:1904.02144), for all records at once: bisect the line to
the nearest record that is labelled otherwise, then turn the crossing towards the record along a
normal that is estimated from the labels of random neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ask = Callable[[NDArray[Any]], NDArray[Any]]
    Floats = NDArray[np.float64]


TINY = 1e-12
MOST = 1000
"""Records that lines are drawn to: more would bring the nearest one little closer."""


def distances(
    ask: Ask,
    x: NDArray[Any],
    said: NDArray[Any],
    rng: np.random.Generator,
    *,
    starts: int = 3,
    halvings: int = 6,
    turns: int = 1,
    probes: int = 16,
) -> Floats:
    """Return the distances (n,) from records at which the label changes, found from above.

    Args:
        ask: records (m, …) → labels (m,).
        x: (n, …) real-valued records.
        said: (n,) what the model says of them.
        rng: of the random neighbours.
        starts: nearest records of another label that a line is drawn to.
        halvings: of each line: the crossing is known to 2^−halvings of its length.
        turns: how often the crossing is turned towards the record.
        probes: random neighbours of a crossing that show its normal.

    Returns:
        Euclidean distances; those of a batch of one label only are the longest there are.
    """
    flat = np.asarray(x, np.float64).reshape(len(x), -1)

    def labels(points: Floats) -> NDArray[Any]:
        rows = points.reshape(-1, *x.shape[1:]).astype(x.dtype)
        return np.asarray(ask(rows)).reshape(points.shape[:-1])

    some = np.sort(rng.permutation(len(flat))[:MOST])
    near, gap = _others(flat, said, flat[some], said[some], starts)
    lines = flat[some][near] - flat[:, None]
    far = np.where(np.isfinite(gap), gap, 0).max(initial=1.0)
    known = np.isfinite(gap)
    found = np.where(known, _bisect(labels, flat, lines, said, halvings) * gap, far)
    best, rows = found.argmin(1), np.arange(len(flat))
    length = found[rows, best]
    way = lines[rows, best]
    for _ in range(turns):
        way = way / np.maximum(np.linalg.norm(way, axis=1), TINY)[:, None]
        point = flat + length[:, None] * way
        odd = rng.standard_normal((len(flat), probes, flat.shape[1]))
        odd *= length[:, None, None] / np.sqrt(flat.shape[1])
        there = np.where(labels(point[:, None] + odd) == said[:, None], -1.0, 1.0)
        # Centred: where nearly all neighbours fall on one side the few others tell the normal.
        normal = ((there - there.mean(1, keepdims=True))[..., None] * odd).sum(1)
        size = np.linalg.norm(normal, axis=1)
        line = (length / np.maximum(size, TINY))[:, None] * normal
        # Straight out along the normal: does the label change sooner than it did?
        crossed = (labels(flat + line) != said) & (size > 0)
        nearer = _bisect(labels, flat, line[:, None], said, halvings)[:, 0] * length
        length = np.where(crossed, nearer, length)
        way = np.where(crossed[:, None], line, way)
    return np.asarray(length)


def _others(
    flat: Floats, said: NDArray[Any], ends: Floats, named: NDArray[Any], starts: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest ``ends`` of another label (n, starts) and how far; inf where there is none."""
    gap = np.maximum((flat**2).sum(1)[:, None] - 2 * flat @ ends.T + (ends**2).sum(1), 0)
    gap[said[:, None] == named] = np.inf
    starts = min(starts, len(ends))
    near = np.argpartition(gap, starts - 1, axis=1)[:, :starts]
    return near, np.sqrt(np.take_along_axis(gap, near, 1))


def _bisect(
    labels: Callable[[Floats], NDArray[Any]],
    flat: Floats,
    lines: NDArray[Any],
    said: NDArray[Any],
    halvings: int,
) -> Floats:
    """Where along each line (n, s, d) from its record the label changes: (n, s) in 0..1."""
    low, high = np.zeros(lines.shape[:2]), np.ones(lines.shape[:2])
    for _ in range(halvings):
        middle = (low + high) / 2
        same = labels(flat[:, None] + middle[..., None] * lines) == said[:, None]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return (low + high) / 2

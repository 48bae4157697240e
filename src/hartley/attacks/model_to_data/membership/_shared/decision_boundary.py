"""The distance of a record from a model's decision boundary, found by queries for labels.

The search is that of HopSkipJump (arXiv:1904.02144), for all records at once: bisect the line to
the nearest record with another label, then move the crossing closer to the record along the normal
of the boundary, which is estimated from the labels of random neighbours.
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
"""Records that lines are drawn to; more would hardly bring the nearest one closer."""


def distances(
    ask: Ask,
    x: NDArray[Any],
    predicted: NDArray[Any],
    rng: np.random.Generator,
    *,
    starts: int = 3,
    halvings: int = 6,
    turns: int = 1,
    probes: int = 16,
) -> Floats:
    """Return upper bounds on the distances (n,) from records to the decision boundary.

    Args:
        ask: records (m, …) → labels (m,).
        x: (n, …) real-valued records.
        predicted: (n,) labels that the model predicts for them.
        rng: draws the random neighbours.
        starts: number of nearest records with another label that a line is drawn to.
        halvings: bisection steps: the crossing is known to 2^−halvings of a line's length.
        turns: how often the crossing is moved closer to the record.
        probes: random neighbours of a crossing that estimate the normal.

    Returns:
        Euclidean distances. If all records have one label, they are the longest line.
    """
    flat = np.asarray(x, np.float64).reshape(len(x), -1)

    def labels(points: Floats) -> NDArray[Any]:
        rows = points.reshape(-1, *x.shape[1:]).astype(x.dtype)
        return np.asarray(ask(rows)).reshape(points.shape[:-1])

    ends = np.sort(rng.permutation(len(flat))[:MOST])
    nearest, lengths = _nearest_of_another_label(
        flat, predicted, flat[ends], predicted[ends], starts
    )
    lines = flat[ends][nearest] - flat[:, None]
    far = np.where(np.isfinite(lengths), lengths, 0).max(initial=1.0)
    reached = np.isfinite(lengths)
    crossings = np.where(reached, _bisect(labels, flat, lines, predicted, halvings) * lengths, far)
    best_line, rows = crossings.argmin(1), np.arange(len(flat))
    length = crossings[rows, best_line]
    direction = lines[rows, best_line]
    for _ in range(turns):
        direction = direction / np.maximum(np.linalg.norm(direction, axis=1), TINY)[:, None]
        point = flat + length[:, None] * direction
        offsets = rng.standard_normal((len(flat), probes, flat.shape[1]))
        offsets *= length[:, None, None] / np.sqrt(flat.shape[1])
        side = np.where(labels(point[:, None] + offsets) == predicted[:, None], -1.0, 1.0)
        # Centred, so that the few neighbours on the other side determine the normal.
        normal = ((side - side.mean(1, keepdims=True))[..., None] * offsets).sum(1)
        size = np.linalg.norm(normal, axis=1)
        outward = (length / np.maximum(size, TINY))[:, None] * normal
        # Does the label change sooner along the normal?
        closer = (labels(flat + outward) != predicted) & (size > 0)
        outward_distance = (
            _bisect(labels, flat, outward[:, None], predicted, halvings)[:, 0] * length
        )
        length = np.where(closer, outward_distance, length)
        direction = np.where(closer[:, None], outward, direction)
    return np.asarray(length)


def _nearest_of_another_label(
    flat: Floats, predicted: NDArray[Any], ends: Floats, end_labels: NDArray[Any], starts: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the nearest ``ends`` with another label and their distance (n, starts), or inf."""
    square = np.maximum((flat**2).sum(1)[:, None] - 2 * flat @ ends.T + (ends**2).sum(1), 0)
    square[predicted[:, None] == end_labels] = np.inf
    starts = min(starts, len(ends))
    nearest = np.argpartition(square, starts - 1, axis=1)[:, :starts]
    return nearest, np.sqrt(np.take_along_axis(square, nearest, 1))


def _bisect(
    labels: Callable[[Floats], NDArray[Any]],
    flat: Floats,
    lines: NDArray[Any],
    predicted: NDArray[Any],
    halvings: int,
) -> Floats:
    """Return where in 0..1 along each line (n, s, d) from a record the label changes (n, s)."""
    low, high = np.zeros(lines.shape[:2]), np.ones(lines.shape[:2])
    for _ in range(halvings):
        middle = (low + high) / 2
        same = labels(flat[:, None] + middle[..., None] * lines) == predicted[:, None]
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    return (low + high) / 2

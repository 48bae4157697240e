"""Where a piecewise linear function bends: along a line, and in which direction its slope jumps.

arXiv:2003.04884 finds the critical points of a ReLU network by search along random lines: between
two points whose tangents meet on the function there is one bend, at the place where they meet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ask = Callable[[NDArray[Any]], NDArray[np.float64]]

REACH = 40.0
"""How far lines go on both sides, in deviations of the records."""

PIECES = 24
"""Intervals of a line at the start of the search."""

NARROW = 1e-5
"""Intervals below this are given up: two bends in one place."""

EXACT = 1e-9
"""Share of the scores' size up to which two numbers count as equal."""

NEAR, TINY = 1e-2, 1e-4
"""Distances from a bend to the points where the slope is taken, and over which it is."""


@dataclass(frozen=True, slots=True)
class Bend:
    """A bend of the function on a line.

    Attributes:
        at: (d,) the point.
        along: (d,) direction of the line.
        room: distance along the line without another bend.
    """

    at: NDArray[np.float64]
    along: NDArray[np.float64]
    room: float


def on_line(
    ask: Ask,
    start: NDArray[np.float64],
    along: NDArray[np.float64],
    rng: np.random.Generator,
    *,
    reach: float = REACH,
    pieces: int = PIECES,
) -> list[Bend]:
    """Return the bends on a line, found by intersecting tangents of ever smaller intervals.

    Args:
        ask: flat records (n, d) → scores (n, k).
        start: (d,) the middle of the line.
        along: (d,) its direction.
        rng: draws where intervals are cut.
        reach: how far the line goes on both sides.
        pieces: intervals at the start of the search.
    """

    def values(t: NDArray[Any]) -> NDArray[np.float64]:
        return ask(start + t[:, None] * along)

    edges = np.linspace(-reach, reach, pieces + 1)
    edges[1:-1] += rng.uniform(-0.3, 0.3, pieces - 1) * (edges[1] - edges[0])
    spans = np.stack([edges[:-1], edges[1:]], 1)
    meeting: list[float] = []
    while len(spans):
        a, b = spans.T
        step = (b - a) * 1e-3
        at = np.stack([a, a + step, b - step, b, a + (b - a) * rng.uniform(0.4, 0.6, len(a))], 1)
        f = values(at.reshape(-1)).reshape(len(a), 5, -1)
        left, right = (f[:, 1] - f[:, 0]) / step[:, None], (f[:, 3] - f[:, 2]) / step[:, None]
        size = 1e-3 + np.abs(f).max((1, 2))
        # The score whose slope differs most says where the tangents meet.
        jump = right - left
        most = np.abs(jump).argmax(1)
        here = np.arange(len(a)), most
        straight = np.abs(jump).max(1) * (b - a) < 1e3 * EXACT * size
        middle = f[:, 0] + left * (at[:, 4] - a)[:, None]
        straight &= np.abs(middle - f[:, 4]).max(1) < 1e2 * EXACT * size
        with np.errstate(divide="ignore", invalid="ignore"):
            meet = (f[:, 0][here] - left[here] * a - f[:, 3][here] + right[here] * b) / jump[here]
        inside = ~straight & (meet > a + step) & (meet < b - step)
        meet = np.where(inside, meet, a)
        there = values(meet[inside]) if inside.any() else np.zeros((0, f.shape[2]))
        expected = f[inside, 0] + left[inside] * (meet - a)[inside, None]
        single = inside.copy()
        single[inside] = np.abs(there - expected).max(1) < 1e2 * EXACT * size[inside]
        meeting += meet[single].tolist()
        split = ~straight & ~single & (b - a > NARROW)
        cut = at[split, 4]
        spans = np.concatenate([np.stack([a[split], cut], 1), np.stack([cut, b[split]], 1)])
    places = np.sort(meeting)
    gaps = np.diff(np.concatenate([[-reach], places, [reach]]))
    return [
        Bend(start + t * along, along, float(min(gaps[i], gaps[i + 1])))
        for i, t in enumerate(places)
    ]


def jump(ask: Ask, bend: Bend) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return by how much the slope jumps at a bend: a direction (d,) and its size (k,) per score.

    The slope's jump is the outer product of both. None where it is not one: another bend is near.
    """
    d = len(bend.at)
    near = min(NEAR, bend.room / 4)
    tiny = min(TINY, near / 100)
    points = np.stack([bend.at - near * bend.along, bend.at + near * bend.along])
    steps = tiny * np.concatenate([np.zeros((1, d)), np.eye(d)])
    f = ask((points[:, None] + steps).reshape(-1, d)).reshape(2, d + 1, -1)
    slopes = (f[:, 1:] - f[:, :1]) / tiny
    left, sizes, right = np.linalg.svd(slopes[1] - slopes[0], full_matrices=False)
    if sizes[0] == 0 or (len(sizes) > 1 and sizes[1] > 1e-3 * sizes[0]):
        return None
    return left[:, 0], right[0] * sizes[0]


def bends_at(
    ask: Ask, points: NDArray[np.float64], across: NDArray[np.float64], near: float = NEAR
) -> NDArray[np.bool_]:
    """Return (n,) whether the function bends at points (n, d) when crossed in a direction (d,)."""
    n = len(points)
    f = ask(np.concatenate([points - near * across, points, points + near * across]))
    second = f[:n] + f[2 * n :] - 2 * f[n : 2 * n]
    return np.asarray(np.abs(second).max(1) > 1e2 * EXACT * (1e-3 + np.abs(f).max()))


def offsets(
    ask: Ask, points: NDArray[np.float64], across: NDArray[np.float64], near: float = NEAR
) -> NDArray[np.float64]:
    """Return by how much bends at some of the points (n, d) lie further in a direction (d,).

    There the tangents from both sides meet, at points with one bend within ``near``.
    """
    n, steps = len(points), np.array([-1.0, -0.5, 0.5, 1.0]) * near
    f = ask((points[:, None] + steps[:, None] * across).reshape(4 * n, -1)).reshape(n, 4, -1)
    left, right = (f[:, 1] - f[:, 0]) / (near / 2), (f[:, 3] - f[:, 2]) / (near / 2)
    rows = np.arange(n)
    most = np.abs(right - left).argmax(1)
    jump = (right - left)[rows, most]
    bent = np.abs(jump) * near > 1e2 * EXACT * (1e-3 + np.abs(f).max())
    with np.errstate(divide="ignore", invalid="ignore"):
        middle = f[rows, 1, most] + left[rows, most] * near / 2
        other = f[rows, 2, most] - right[rows, most] * near / 2
        met = (middle - other) / jump
    return np.asarray(met[bent & (np.abs(met) < near / 2)])

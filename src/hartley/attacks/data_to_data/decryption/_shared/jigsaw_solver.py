"""Jigsaw solver: a tree of the most certain joints within a frame (Gallagher, with negatives).

Pieces are square, of one size, and in their right orientation. Each may be a negative; whether the
whole is one cannot be known from its borders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


Places = dict[int, tuple[int, int, bool]]
"""Row, column and sign of each piece of a group."""


class Joint(NamedTuple):
    """Two pieces of which the second continues the first.

    Attributes:
        doubt: its cost as a share of the next best one's.
        first: a piece.
        second: the piece to its right, or below it.
        negative: whether one of them is a negative of the other.
        down: whether the second is below.
    """

    doubt: float
    first: int
    second: int
    negative: bool
    down: bool


def solved(
    pieces: NDArray[Any], rows: int, columns: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Solve a puzzle of rows × columns pieces.

    Args:
        pieces: (n, pictures, channels, size, size), zero at grey. All pictures were cut and mixed
            alike, so that their borders count together.
        rows: of the frame.
        columns: of the frame; rows·columns = n.

    Returns:
        (n,) the piece at each place, row by row, and (n,) which pieces are negatives of the first.
    """
    beside, below = border_costs(pieces)
    count = len(pieces)
    group = {k: {k: (0, 0, False)} for k in range(count)}
    home = np.arange(count)
    for joint in _by_doubt(beside, below):
        a, b = home[joint.first], home[joint.second]
        if a == b:
            continue
        merged = _joined(group[a], group[b], joint, (rows, columns))
        if merged is not None:
            group[a] = merged
            for piece in group.pop(b):
                home[piece] = a
            if len(group) == 1:
                break
    return _framed(group, beside, below, rows, columns)


def border_costs(pieces: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return how badly piece j continues piece i, to its right and below it: (2, n, n) each.

    The first index is 0 where both are of one sign, 1 where one is a negative. What is expected at
    a border is the last line and half of its change from the one before, from both sides.
    """
    right = _mismatch(pieces[..., :, -1], pieces[..., :, -2], pieces[..., :, 0], pieces[..., :, 1])
    down = _mismatch(pieces[..., -1, :], pieces[..., -2, :], pieces[..., 0, :], pieces[..., 1, :])
    return right, down


def _mismatch(
    last: NDArray[Any], before: NDArray[Any], first: NDArray[Any], after: NDArray[Any]
) -> NDArray[Any]:
    n = len(last)
    ahead = (1.5 * last - 0.5 * before).reshape(n, -1)
    behind = (1.5 * first - 0.5 * after).reshape(n, -1)
    out = np.stack(
        [
            (ahead**2).sum(1)[:, None] + (behind**2).sum(1) - sign * 2 * ahead @ behind.T
            for sign in (1, -1)
        ]
    )
    out[:, np.arange(n), np.arange(n)] = np.inf
    return np.asarray(np.maximum(out, 0))


def _by_doubt(beside: NDArray[Any], below: NDArray[Any]) -> list[Joint]:
    """Return joints, the most certain first: much better than the next of both their pieces."""
    joints = []
    for down, cost in ((False, beside), (True, below)):
        n = cost.shape[1]
        ahead = np.sort(cost.transpose(1, 0, 2).reshape(n, -1), axis=1)[:, :2]
        back = np.sort(cost.transpose(2, 0, 1).reshape(n, -1), axis=1)[:, :2]
        best = np.isclose(cost, ahead[None, :, :1]) | np.isclose(cost, back[None, :, 0])
        rival = (
            np.where(cost <= ahead[None, :, :1], ahead[None, :, 1:], ahead[None, :, :1]),
            np.where(
                cost <= back[None, None, :, 0], back[None, None, :, 1], back[None, None, :, 0]
            ),
        )
        ratio = (cost + 1) / (np.minimum(*rival) + 1)
        ratio = np.where(best, ratio, ratio + 10)
        for negative, first, second in np.argwhere(np.isfinite(cost)).tolist():
            share = float(ratio[negative, first, second])
            joints.append(Joint(share, first, second, bool(negative), down))
    return sorted(joints)


def _joined(a: Places, b: Places, joint: Joint, frame: tuple[int, int]) -> Places | None:
    """Return both groups as one, or None where pieces collide or leave the frame."""
    row, column, sign = a[joint.first]
    at_row, at_column, other_sign = b[joint.second]
    shift = (row + joint.down - at_row, column + (not joint.down) - at_column)
    flip = sign ^ joint.negative ^ other_sign
    moved = {k: (r + shift[0], c + shift[1], s ^ flip) for k, (r, c, s) in b.items()}
    taken = {(r, c) for r, c, _ in a.values()}
    if any((r, c) in taken for r, c, _ in moved.values()):
        return None
    whole = {**a, **moved}
    down_to, across = zip(*((r, c) for r, c, _ in whole.values()), strict=True)
    fits = max(down_to) - min(down_to) < frame[0] and max(across) - min(across) < frame[1]
    return whole if fits else None


def _framed(
    group: dict[int, Places], beside: NDArray[Any], below: NDArray[Any], rows: int, columns: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Put the largest group into the frame, and single pieces where they fit best."""
    from scipy.optimize import linear_sum_assignment

    largest = max(group.values(), key=len)
    top = min(r for r, _, _ in largest.values())
    left = min(c for _, c, _ in largest.values())
    order = np.full((rows, columns), -1, dtype=np.int64)
    negative = np.zeros(rows * columns, dtype=bool)
    for piece, (r, c, sign) in largest.items():
        order[r - top, c - left], negative[piece] = piece, sign
    while (order < 0).any():
        loose = np.setdiff1d(np.arange(rows * columns), order)
        holes = _most_enclosed(order)
        cost = np.stack([_fit(order, negative, hole, (beside, below)) for hole in holes])
        best = cost.min(1)[:, loose]
        for hole, piece in zip(*linear_sum_assignment(best), strict=True):
            r, c = holes[hole]
            order[r, c] = loose[piece]
            negative[loose[piece]] = bool(cost[hole, :, loose[piece]].argmin())
    return order.reshape(-1), negative


def _neighbours(order: NDArray[Any], r: int, c: int) -> list[tuple[int, bool, bool]]:
    """Return the pieces around a place: (piece, whether above or below, whether it comes first)."""
    around = [(r - 1, c, True, True), (r + 1, c, True, False)]
    around += [(r, c - 1, False, True), (r, c + 1, False, False)]
    inside = [
        (int(order[i, j]), down, first)
        for i, j, down, first in around
        if 0 <= i < order.shape[0] and 0 <= j < order.shape[1]
    ]
    return [entry for entry in inside if entry[0] >= 0]


def _most_enclosed(order: NDArray[Any]) -> list[tuple[int, int]]:
    holes = [(int(r), int(c)) for r, c in np.argwhere(order < 0)]
    around = [len(_neighbours(order, *hole)) for hole in holes]
    return [hole for hole, many in zip(holes, around, strict=True) if many == max(around)]


def _fit(
    order: NDArray[Any],
    negative: NDArray[Any],
    hole: tuple[int, int],
    costs: tuple[NDArray[Any], NDArray[Any]],
) -> NDArray[Any]:
    """Return (2, n) how badly each piece, and its negative, fits between its neighbours."""
    total = np.zeros((2, len(negative)))
    around = _neighbours(order, *hole)
    for piece, down, first in around:
        cost = costs[down]
        part = cost[:, piece, :] if first else cost[:, :, piece]
        part = np.where(np.isfinite(part), part, 1e12)
        total += part[::-1] if negative[piece] else part
    return total / max(1, len(around))

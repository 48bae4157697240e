"""Recover the layers of a ReLU network from the bends of its scores (arXiv:2003.04884).

First layer: the slope jumps across a unit's hyperplane in the direction of its weights, everywhere
on the hyperplane. Second layer: it jumps in a mixture of the weights of those first units that are
on; points in other places show the remaining weights. Each unit comes with an unknown sign. Of the
last hidden layer a wrong sign adds a linear function, since relu(−z) = relu(z) − z, which shows the
signs; of the first of two layers a move that changes one unit alone shows on which side it is on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_model.extraction._shared import bends
from hartley.kit import dense_layers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.dense_layers import Layers

    Ask = Callable[[NDArray[Any]], NDArray[np.float64]]

SAME = 1e-5
"""Distance from a hyperplane, in deviations of the records, up to which a bend is of its unit."""

ALIKE = 1e-6
"""Two directions count as one where their cosine lacks at most this."""

CHECKED, AWAY = 8, 6.0
"""Points of a hyperplane on which most a unit of the first layer bends the scores, and how far from
the first bend they are in every direction."""

ROOM = 0.03
"""Distance to the next bend of a line below which a bend is passed over: slopes beside it are not
exact, and another line meets the same unit elsewhere."""

TRIMS = 8
"""Times that rows which do not fit are left out."""

CANDIDATES, WIDEST = 20_000, 8.0
"""Records among which those are chosen that settle the last layers, and their widest deviation."""


@dataclass(slots=True, eq=False)
class FirstLayer:
    """Units of the first hidden layer, up to sign and scale, and bends that are not theirs.

    Attributes:
        rows: (h, d) unit directions.
        biases: (h,).
        deep: bends with the direction in which the slope jumps, that no unit explains.
        settled: whether all units are there and have their signs.
    """

    rows: NDArray[np.float64]
    biases: NDArray[np.float64]
    deep: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = field(default_factory=list)
    settled: bool = False

    def explains(self, at: NDArray[np.float64]) -> bool:
        """Whether a point lies on the hyperplane of a unit that is already there."""
        return bool((np.abs(self.rows @ at + self.biases) < SAME).any())

    def has(self, direction: NDArray[np.float64]) -> bool:
        """Whether a unit has this direction, or its opposite."""
        return bool((np.abs(self.rows @ direction) > 1 - ALIKE).any())

    def states(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (n, h), before the ReLU."""
        return np.asarray(x @ self.rows.T + self.biases)


def search_line(
    ask: Ask,
    layer: FirstLayer,
    line: list[bends.Bend],
    rng: np.random.Generator,
    *,
    explained: Callable[[NDArray[np.float64]], bool],
) -> bool:
    """Take over what the bends of a line show; return whether it was anything new.

    Args:
        ask: records (n, d) → scores (n, k).
        layer: of the units so far; it grows.
        line: bends.
        rng: draws points of hyperplanes.
        explained: whether a bend needs no further look, since a deeper unit explains it.
    """
    new = False
    for bend in line:
        if bend.room < ROOM or layer.explains(bend.at) or explained(bend.at):
            continue
        jump = bends.jump(ask, bend)
        if jump is None:
            continue
        direction, _ = jump
        if layer.has(direction):
            continue
        new = True
        # Elsewhere on the hyperplane a first unit bends the scores as well; a deeper one does not.
        away = AWAY * rng.standard_normal((CHECKED, len(direction)))
        away -= np.outer(away @ direction, direction)
        here = bend.at + away
        if not layer.settled and bends.bends_at(ask, here, direction).mean() > 0.5:
            # Another bend beside this one would shift its place: the middle of several is right.
            off = bends.offsets(ask, here, direction)
            shift = float(np.median(off)) if len(off) > 2 else 0.0
            layer.rows = np.concatenate([layer.rows, direction[None]])
            layer.biases = np.append(layer.biases, -float(direction @ bend.at) - shift)
        else:
            layer.deep.append((bend.at, direction))
    return new


def settle_signs(ask: Ask, layer: FirstLayer, rng: np.random.Generator) -> None:
    """Turn each first unit the right way round, where there are no more units than inputs.

    A move that changes unit i alone changes the scores on the side where unit i is on.
    """
    h, d = layer.rows.shape
    moves = np.linalg.pinv(layer.rows)
    moved = np.zeros((h, 2))
    for side, sign in enumerate((1.0, -1.0)):
        for _ in range(8):
            points = rng.standard_normal((h, d)) * 2
            z = layer.states(points)
            # Unit i to the wanted side, the others as they are.
            want = sign * rng.uniform(0.5, 1.5, h)
            points = points + moves.T * (want - np.diag(z))[:, None]
            f = ask(np.concatenate([points, points + sign * 0.1 * moves.T]))
            moved[:, side] = np.maximum(moved[:, side], np.abs(f[h:] - f[:h]).max(1))
    flip = moved[:, 1] > moved[:, 0]
    layer.rows[flip] *= -1
    layer.biases[flip] *= -1
    layer.settled = True


def outer_layer(
    states: NDArray[np.float64], below: NDArray[np.float64], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the sizes (k, h), a linear rest (k, w) and constants (k,) that explain scores (n, k).

    Args:
        states: (n, h) units before the ReLU, up to sign.
        below: (n, w) what the units read.
        scores: (n, k).
    """
    h, w = states.shape[1], below.shape[1]
    table = np.column_stack([np.maximum(states, 0), below, np.ones(len(below))])
    solved = trimmed(table, scores)
    return solved[:, :h], solved[:, h : h + w], solved[:, -1]


def trimmed(table: NDArray[np.float64], scores: NDArray[Any]) -> NDArray[np.float64]:
    """Return the least-squares solution (k, columns), without rows that fit far worse than most.

    Rows on which a unit is not known yet are few and far off.
    """
    rows = np.ones(len(table), dtype=bool)
    for _ in range(TRIMS):
        solved = np.linalg.lstsq(table[rows], scores[rows], rcond=None)[0]
        gap = np.abs(table @ solved - scores).max(1)
        after = gap <= max(10 * float(np.median(gap)), 1e-9 * float(np.abs(scores).max()))
        if after.sum() < 1.5 * table.shape[1] or np.array_equal(after, rows):
            break
        rows = after
    return np.asarray(solved.T)


def flipped(
    sizes: NDArray[np.float64], rest: NDArray[np.float64], rows: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return (h,) which units have the wrong sign, from the linear rest (k, w) of the scores.

    A unit with the wrong sign adds −size·(weights) to the rest.
    """
    parts = -(sizes.T[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
    shares = np.linalg.lstsq(parts.T, rest.reshape(-1), rcond=None)[0]
    return np.asarray(shares > 0.5)


def finished(
    below: NDArray[Any], scores: NDArray[Any], rows: NDArray[Any], biases: NDArray[Any]
) -> Layers:
    """Return the last hidden layer with its signs, and the layer of scores.

    Args:
        below: (n, w) what the last hidden layer reads.
        scores: (n, k).
        rows: (h, w) weights of the last hidden layer, up to sign and scale.
        biases: (h,).
    """
    sizes, rest, _ = outer_layer(below @ rows.T + biases, below, scores)
    wrong = flipped(sizes, rest, rows)
    rows, biases = np.where(wrong[:, None], -rows, rows), np.where(wrong, -biases, biases)
    units = np.maximum(below @ rows.T + biases, 0)
    solved = trimmed(np.column_stack([units, np.ones(len(below))]), scores)
    return (rows, biases), (solved[:, :-1], solved[:, -1])


def varied(
    first: FirstLayer, rows: NDArray[Any], biases: NDArray[Any], rng: np.random.Generator, size: int
) -> NDArray[np.float64]:
    """Return records (size, d) among which each second unit is on and off, rare ones too."""
    d = first.rows.shape[1]
    x = rng.standard_normal((CANDIDATES, d)) * rng.uniform(1, WIDEST, (CANDIDATES, 1))
    z = np.maximum(first.states(x), 0) @ rows.T + biases
    some = [np.arange(size // 2)]
    share = max(1, size // (4 * max(len(rows), 1)))
    some += [np.flatnonzero(side)[:share] for column in z.T for side in (column > 0, column < 0)]
    chosen = np.unique(np.concatenate(some))
    others = np.setdiff1d(np.arange(CANDIDATES), chosen)
    return np.asarray(x[np.concatenate([chosen, others])[:size]])


def polished(
    layers: Layers, x: NDArray[Any], scores: NDArray[Any], *, enough: float, steps: int = 12
) -> Layers:
    """Return layers with parameters moved to the scores (n, k) of records (n, d).

    Levenberg–Marquardt: steps get shorter where a step would not lower the squared error.

    Args:
        layers: where it begins.
        x: records.
        scores: of the victim.
        enough: largest difference at which it ends.
        steps: at most.
    """
    gap = scores - dense_layers.forward(layers, x)
    best, damping = float((gap**2).sum()), 1e-9
    for _ in range(steps):
        if np.abs(gap).max() < enough:
            break
        slopes = dense_layers.jacobian(layers, x)
        bend, slope = slopes.T @ slopes, slopes.T @ gap.reshape(-1)
        size = np.trace(bend) / len(bend)
        while damping < 1:
            # The scale of a unit is free: damping leaves it where it is.
            damped = bend + damping * size * np.eye(len(bend))
            after = dense_layers.moved(layers, np.linalg.solve(damped, slope))
            gap_after = scores - dense_layers.forward(after, x)
            if float((gap_after**2).sum()) < best:
                break
            damping *= 30
        else:
            break
        layers, gap, damping = after, gap_after, max(damping / 30, 1e-13)
        best = float((gap**2).sum())
    return layers

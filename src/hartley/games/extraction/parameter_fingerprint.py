"""Plant symbols in the parameters of a network, and read them from a stolen copy.

A stolen network has its hidden units in any order and at any positive scale. Weights of inputs that
carry no symbol settle both: by them each stolen unit is matched with a unit of the public network.
Scores that only a softmax shows are known up to a number that is added to all of them, which the
last class, where nothing is planted, settles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.dense_layers import Layers


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Where symbols are planted in the first layer.

    Attributes:
        rows: (m,) units, or scores of a linear model.
        columns: (m,) inputs, the last one (d) for the bias.
        alphabet: number of symbols.
        step: distance between neighbouring symbols.
        relative: whether scores are known up to a shift (a linear model behind a softmax).
    """

    rows: NDArray[Any]
    columns: NDArray[Any]
    alphabet: int
    step: float
    relative: bool


def places(
    base: Layers, rng: np.random.Generator, *, count: int, alphabet: int, step: float, softmax: bool
) -> Places:
    """Choose where symbols are planted.

    Of a linear model every parameter may carry one (but those of the last class of several). Of a
    network with hidden units only weights of at most half of the inputs do, the same for all units.

    Args:
        base: the public network.
        rng: draws the places.
        count: number of symbols at most.
        alphabet: number of symbols.
        step: distance between neighbouring symbols, as a share of the root mean square weight.
        softmax: whether the answers are probabilities.
    """
    weight, _ = base[0]
    units, inputs = weight.shape
    linear = len(base) == 1
    relative = linear and softmax
    if linear:
        grid = [(r, c) for r in range(units - relative) for c in range(inputs + 1)]
    else:
        some = np.sort(rng.permutation(inputs)[: inputs // 2])
        grid = [(r, int(c)) for r in range(units) for c in some]
    chosen = np.sort(rng.permutation(len(grid))[:count])
    rows, columns = np.array(grid)[chosen].T
    size = step * float(np.sqrt(np.mean(weight**2)))
    return Places(rows, columns, alphabet, size, relative)


def plant(base: Layers, where: Places, symbols: NDArray[Any]) -> Layers:
    """Return the network with symbols (m,) planted, evenly spaced around the public values."""
    table = np.column_stack(base[0])
    table[where.rows, where.columns] += (symbols - (where.alphabet - 1) / 2) * where.step
    return ((table[:, :-1], table[:, -1]), *base[1:])


def read(stolen: Layers, base: Layers, where: Places) -> NDArray[np.int64]:
    """Return the symbols (m,) in a stolen network; −1 for all where its form is another one."""
    table = aligned(stolen, base, where)
    if table is None:
        return np.full(len(where.rows), -1)
    here = where.rows, where.columns
    offset = (table - np.column_stack(base[0]))[here] / where.step
    symbols = np.rint(offset + (where.alphabet - 1) / 2)
    return np.asarray(np.clip(np.nan_to_num(symbols), 0, where.alphabet - 1), dtype=np.int64)


def aligned(stolen: Layers, base: Layers, where: Places) -> NDArray[np.float64] | None:
    """Return the stolen first layer (units, inputs + 1), bias last, in the order of ``base``.

    None where the layers are not as many, or the first one reads other inputs. A unit of ``base``
    without a stolen one is 0.
    """
    if len(stolen) != len(base) or stolen[0][0].shape[1] != base[0][0].shape[1]:
        return None
    from scipy.optimize import linear_sum_assignment

    public, table = np.column_stack(base[0]), np.column_stack(stolen[0])
    if len(base) == 1:
        if len(table) != len(public):
            return None
        return table - table[-1] + public[-1] if where.relative else table
    anchors = np.setdiff1d(np.arange(public.shape[1]), where.columns)
    unplanted, copied = public[:, anchors], table[:, anchors]
    sizes = np.outer(np.linalg.norm(unplanted, axis=1), np.linalg.norm(copied, axis=1))
    like = unplanted @ copied.T / np.maximum(sizes, 1e-300)
    rows, columns = linear_sum_assignment(-like)
    out = np.zeros_like(public)
    for row, column in zip(rows, columns, strict=True):
        square = float(copied[column] @ copied[column])
        out[row] = table[column] * (unplanted[row] @ copied[column]) / max(square, 1e-300)
    return out

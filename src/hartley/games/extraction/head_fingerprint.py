"""Plant symbols in rows of a language model's output head, and read them from a stolen head.

An attacker who sees logits learns the head only up to an invertible change of basis of the hidden
space, and one who sees log-probabilities also up to a row that is added to all rows, which no
softmax shows (arXiv:2403.06634). Rows without planted symbols determine both, and the planted rows
are then compared with their values before planting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def plant(
    base: NDArray[Any],
    rows: NDArray[Any],
    directions: NDArray[Any],
    symbols: NDArray[Any],
    *,
    alphabet: int,
    step: float,
) -> NDArray[np.float64]:
    """Return the head (vocabulary, hidden) with a symbol planted in each of ``rows``.

    Row r becomes base + (symbol − (alphabet−1)/2)·step·direction, so that symbols are evenly
    spaced around the public row.

    Args:
        base: (vocabulary, hidden) public head.
        rows: (m,) planted rows.
        directions: (m, hidden) unit vectors.
        symbols: (m,) integers in 0..alphabet−1.
        alphabet: number of symbols.
        step: distance between neighbouring symbols.
    """
    head = np.array(base, dtype=np.float64)
    head[rows] += ((symbols - (alphabet - 1) / 2) * step)[:, None] * directions
    return head


def read(
    stolen: NDArray[Any],
    base: NDArray[Any],
    rows: NDArray[Any],
    directions: NDArray[Any],
    *,
    alphabet: int,
    step: float,
) -> NDArray[np.int64]:
    """Return the symbols (m,) in the planted rows of a stolen head.

    Args:
        stolen: (vocabulary, width) head in any basis; a wrong shape gives −1 for all symbols. Of a
            wider one than the base only the ``hidden`` largest singular directions count.
        base: (vocabulary, hidden) head before planting, known to the judge.
        rows, directions, alphabet, step: as in ``plant``.
    """
    if stolen.ndim != 2 or len(stolen) != len(base):
        return np.full(len(rows), -1)
    aligned = align(stolen, base, rows)
    along = ((aligned[rows] - base[rows]) * directions).sum(1)
    symbols = np.rint(along / step + (alphabet - 1) / 2)
    out: NDArray[np.int64] = np.clip(symbols, 0, alphabet - 1).astype(np.int64)
    return out


def align(stolen: NDArray[Any], base: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the stolen head in the basis of ``base``, fitted on the rows that are not planted."""
    anchors = np.setdiff1d(np.arange(len(base)), rows)
    return _mapped(stolen, base, anchors)


def _mapped(stolen: NDArray[Any], head: NDArray[Any], rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return a stolen head by the affine map that takes its ``rows`` to those of ``head`` best."""
    table = np.column_stack([_cut(stolen, head.shape[1]), np.ones(len(stolen))])
    change, *_ = np.linalg.lstsq(table[rows], np.asarray(head, np.float64)[rows], rcond=None)
    return np.asarray(table @ change)


def _cut(stolen: NDArray[Any], hidden: int) -> NDArray[np.float64]:
    """Return (vocabulary, hidden at most): the largest singular directions around the mean row.

    Further columns would fit any head, whatever they contain.
    """
    table = np.asarray(stolen, dtype=np.float64)
    if table.shape[1] <= hidden:
        return table
    table = table - table.mean(0)
    # Of the columns of a wide table, by their products with one another.
    _, vectors = np.linalg.eigh(table.T @ table)
    return np.asarray(table @ vectors[:, -hidden:])


def error_of(stolen: NDArray[Any], head: NDArray[Any]) -> float:
    """Return the relative error of a stolen head after the best invertible map, 1 at most.

    It is the residual of least squares over all rows, as a share of the head around its mean row.
    Of a head that is too wide the largest singular directions count, as many as the hidden size.
    """
    if stolen.ndim != 2 or len(stolen) != len(head):
        return 1.0
    gap = _mapped(stolen, head, np.arange(len(head))) - head
    return min(1.0, float(np.linalg.norm(gap) / np.linalg.norm(head - head.mean(0))))


def rotation_error(stolen: NDArray[Any], head: NDArray[Any]) -> float:
    """Return the relative error of a stolen head after the best rotation and scale, 1 at most.

    Args:
        stolen: (vocabulary, width); another width than the head's gives 1.
        head: (vocabulary, hidden), its columns scaled as the last norm scales them.
    """
    if stolen.shape != head.shape:
        return 1.0
    copied, right = stolen - stolen.mean(0), head - head.mean(0)
    left, sizes, turned = np.linalg.svd(copied.T @ right)
    square = float((copied**2).sum())
    if not square:
        return 1.0
    gap = copied @ (left @ turned) * (sizes.sum() / square) - right
    return min(1.0, float(np.linalg.norm(gap) / np.linalg.norm(right)))


def likeness(stolen: NDArray[Any], head: NDArray[Any], rows: NDArray[Any]) -> float:
    """Return the share of the planted rows' variance that a stolen head explains, at most 1.

    Args:
        stolen: (vocabulary, width) head in any basis.
        head: (vocabulary, hidden) the victim's head.
        rows: (m,) planted rows, which are not used to fit the basis.
    """
    if stolen.ndim != 2 or len(stolen) != len(head):
        return 0.0
    error = align(stolen, head, rows)[rows] - head[rows]
    centred = head[rows] - head[rows].mean(0)
    return float(1 - (error**2).sum() / (centred**2).sum())

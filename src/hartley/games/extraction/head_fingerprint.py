"""Plant symbols in rows of a language model's output head, and read them from a stolen head.

An attacker who sees logits learns the head only up to an invertible change of basis of the hidden
space (arXiv:2403.06634). Rows without planted symbols determine the basis, in which the planted
rows are then compared with their values before planting.
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
        stolen: (vocabulary, width) head in any basis; a wrong shape gives −1 for all symbols.
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
    change_of_basis, *_ = np.linalg.lstsq(
        np.asarray(stolen[anchors], dtype=np.float64), base[anchors], rcond=None
    )
    out: NDArray[np.float64] = stolen @ change_of_basis
    return out


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

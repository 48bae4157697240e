"""Output heads of language models: what is planted in their rows, and reading it from a stolen one.

A thief who sees logits learns the head only up to an invertible change of basis of the hidden
space (arXiv:2403.06634). Rows that were *not* planted serve as anchors: they settle the basis, so
that the planted rows can be compared with what they were before.
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
    """Return the head with a symbol written into each of ``rows``.

    Row r becomes base + (symbol − (alphabet−1)/2)·step·direction, so that symbols are evenly
    spaced about the public row and no symbol is the row left alone.

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
    """Return the symbols (m,) that a stolen head carries in its planted rows.

    Args:
        stolen: (vocabulary, width) head in any basis; −1 is read for all when the shape is wrong.
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
    """The stolen head in the basis of ``base``, settled on the rows that were not planted."""
    anchors = np.setdiff1d(np.arange(len(base)), rows)
    turn, *_ = np.linalg.lstsq(
        np.asarray(stolen[anchors], dtype=np.float64), base[anchors], rcond=None
    )
    out: NDArray[np.float64] = stolen @ turn
    return out


def likeness(stolen: NDArray[Any], head: NDArray[Any], rows: NDArray[Any]) -> float:
    """Share of the planted rows' variation that a stolen head explains, at most 1.

    Args:
        stolen: (vocabulary, width) head in any basis.
        head: (vocabulary, hidden) the victim's own.
        rows: (m,) rows that do not help to settle the basis.
    """
    if stolen.ndim != 2 or len(stolen) != len(head):
        return 0.0
    missed = align(stolen, head, rows)[rows] - head[rows]
    around = head[rows] - head[rows].mean(0)
    return float(1 - (missed**2).sum() / (around**2).sum())

"""An output head from scores of many prompts: they are the head times hidden states.

A matrix of scores has the rank of the hidden size (arXiv:2403.06634, arXiv:2403.09539), and its
singular vectors span the head's columns. Where a last norm puts all hidden states on a sphere, the
scores' coordinates lie on an ellipsoid, which leaves the head unknown up to a rotation alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Modality, Model, Output
from hartley.games.extraction.head_extraction import HEAD

if TYPE_CHECKING:
    from numpy.typing import NDArray


def rank(scores: NDArray[Any], tolerance: float, unstable: float) -> int:
    """Return the rank of scores (n, vocabulary), above what rounding and noise make.

    Args:
        scores: of n prompts.
        tolerance: singular values below this share of the largest count as 0.
        unstable: largest difference of two answers to one question: noise of this size makes
            singular values up to its product with √n + √vocabulary.
    """
    n, vocabulary = scores.shape
    square = scores @ scores.T
    values = np.sqrt(np.maximum(np.linalg.eigvalsh(square)[::-1], 0.0))
    noise = unstable * (np.sqrt(n) + np.sqrt(vocabulary))
    return int((values > max(tolerance * float(values[0]), noise)).sum())


def basis(scores: NDArray[Any], size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the first singular vectors (vocabulary, size) of scores (n, vocabulary), and values.

    Computed from the smaller side: a vocabulary is large.
    """
    values, left = np.linalg.eigh(scores @ scores.T)
    left, values = left[:, ::-1][:, :size], np.sqrt(np.maximum(values[::-1][:size], 1e-300))
    return np.asarray(scores.T @ left / values), values


def on_sphere(points: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return R (h, h) with |R c| = 1 for all points c (n, h); None where no ellipsoid fits.

    The ellipsoid cᵀ M c = 1 is linear in M, which has h(h + 1)/2 entries.
    """
    n, h = points.shape
    above = np.triu_indices(h)
    if n < len(above[0]) + h:
        return None
    spread = np.sqrt((points**2).mean(0))
    scaled = points / spread
    table = scaled[:, above[0]] * scaled[:, above[1]]
    solved, *_ = np.linalg.lstsq(table, np.ones(n), rcond=None)
    if np.abs(table @ solved - 1).max() > MISFIT:
        return None
    square = np.zeros((h, h))
    square[above] = solved
    square = (square + square.T) / 2
    try:
        return np.asarray(np.linalg.cholesky(square).T / spread)
    except np.linalg.LinAlgError:
        return None


MISFIT = 1e-2
"""Largest share by which a point may miss the ellipsoid."""


def copy_of(
    head: NDArray[np.float64],
    mean: NDArray[Any],
    victim: Model,
    attack: str,
    **facts: float | str | bool,
) -> Model:
    """Return the stolen head as a model, which answers every query with the victim's mean scores.

    The game reads ``weights()``; the head alone, without the layers below it, predicts no text.
    """

    def query(tokens: NDArray[Any]) -> NDArray[Any]:
        return np.tile(mean, (len(tokens), 1))

    return Model(
        "stolen head",
        Modality.LANGUAGE,
        query,
        Output.LOGITS,
        victim.classes,
        weights=lambda: {HEAD: head},
        offers=Access.LABELS | Access.SCORES | Access.WEIGHTS,
        lineage=(*victim.lineage, attack),
        facts={"hidden size": head.shape[1], **facts},
    )

"""Records beside a model's decision boundary: where a copy departs from it first."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Form

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAIRS = 200
"""Pairs of records between which the boundary is looked for."""

HALVINGS = 6
"""Times that the stretch between two records is halved: the records end 1/64 of it apart."""


def beside_the_boundary(
    label: Callable[[NDArray[Any]], NDArray[Any]],
    data: Data,
    rng: np.random.Generator,
    *,
    pairs: int = PAIRS,
    halvings: int = HALVINGS,
) -> tuple[NDArray[Any], NDArray[Any]] | None:
    """Return records on both sides of a model's boundary, with the model's labels of them.

    Between two records of different labels, the stretch is halved towards the half whose ends
    differ.

    Args:
        label: (n, …) records → (n,) labels of the model.
        data: records to start from.
        rng: draws the pairs.
        pairs: number of pairs that are drawn; those of one label are left out.
        halvings: number of questions of ``label`` about each pair.

    Returns:
        (2m, …) records and (2m,) labels, or None: records of this form have nothing between them,
        or all have one label.
    """
    if data.form is not Form.ARRAY or not np.issubdtype(data.x.dtype, np.floating) or not len(data):
        return None
    labels = label(data.x)
    a, b = rng.integers(len(data), size=(2, pairs))
    differ = labels[a] != labels[b]
    a, b = a[differ], b[differ]
    if not len(a):
        return None
    ends, other_ends = data.x[a], data.x[b]
    end_labels, other_labels = labels[a], labels[b]
    for _ in range(halvings):
        middle = ((ends + other_ends) / 2).astype(data.x.dtype)
        middle_labels = label(middle)
        same = middle_labels == end_labels
        wide = same.reshape(-1, *(1,) * (middle.ndim - 1))
        ends, other_ends = np.where(wide, middle, ends), np.where(wide, other_ends, middle)
        other_labels = np.where(same, other_labels, middle_labels)
    return np.concatenate([ends, other_ends]), np.concatenate([end_labels, other_labels])

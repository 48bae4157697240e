"""Agreement of columns between people and released rows, and how often it occurs in true pairs.

Fellegi and Sunter (doi:10.1080/01621459.1969.10501049); the rates are learnt by expectation
maximisation over all pairs, which are a mixture of true ones and others (Winkler 1988).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hartley.kit.releases.public_bins import PublicBins
from hartley.kit.releases.randomised_cells import kept_rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.mixed_tables import TableColumn

    Floats = NDArray[np.float64]

NEAR = 0.02
"""Share of the range within which two numbers agree."""
WORD = 30
"""Columns that are packed at a time; fewer than 2³³ pairs are held."""
LOW, HIGH = 1e-4, 1 - 1e-4
"""Least and largest rate of agreement, which keep a weight finite."""


def agreements(
    people: Floats,
    rows: Floats,
    columns: Sequence[TableColumn],
    bins: int,
    public: Floats,
) -> NDArray[np.bool_]:
    """Return which columns of a person and of a row agree: (m, n, c).

    Args:
        people: (m, c) what is known of them.
        rows: (n, c) the same columns of the release.
        columns: these columns.
        bins: 0: numbers agree within ``NEAR`` of their range; else where they are in the same of so
            many public bins.
        public: (p, c) records whose quantiles are the ends of the bins.
    """
    out = np.empty((len(people), len(rows), len(columns)), dtype=bool)
    for j, column in enumerate(columns):
        a, b = people[:, j], rows[:, j]
        if column.values:
            out[..., j] = a[:, None] == b[None]
        elif bins:
            domain = PublicBins.of(public[:, j, None], [column], bins)
            codes = [domain.codes(part[:, None])[:, 0] for part in (a, b)]
            out[..., j] = codes[0][:, None] == codes[1][None]
        else:
            reach = NEAR * max(np.ptp(np.concatenate([a, b])), 1e-12)
            out[..., j] = np.abs(a[:, None] - b[None]) <= reach
    return out


def learnt_rates(same: NDArray[np.bool_], steps: int) -> tuple[Floats, Floats]:
    """Return how often each column agrees in true pairs and in others: (c,) each.

    Args:
        same: (m, n, c).
        steps: of expectation maximisation.
    """
    _, rows, width = same.shape
    # Pairs of the same pattern of agreement weigh alike: 2^c patterns stand for m·n pairs.
    codes = _pattern(same.reshape(-1, width))
    _, first, times = np.unique(codes, return_index=True, return_counts=True)
    patterns = same.reshape(-1, width)[first]
    share = 1.0 / rows
    in_others = np.clip((patterns * times[:, None]).sum(0) / times.sum(), LOW, HIGH)
    in_pairs = np.clip(np.maximum(0.9, in_others), LOW, HIGH)
    for _ in range(steps):
        true = np.log(share) + _likelihood(patterns, in_pairs)
        other = np.log1p(-share) + _likelihood(patterns, in_others)
        weight = times / (1.0 + np.exp(np.clip(other - true, -500, 500)))
        in_pairs = np.clip((patterns * weight[:, None]).sum(0) / weight.sum(), LOW, HIGH)
        # One row at most is a person's.
        share = min(weight.sum() / times.sum(), 1.0 / rows)
    return in_pairs, in_others


def _pattern(same: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return a number (p,) for each row of (p, c), the same for equal rows alone."""
    out = np.zeros(len(same), dtype=np.int64)
    for at in range(0, same.shape[1], WORD):
        part = same[:, at : at + WORD]
        # Numbered anew, so that with the next columns they fit into 64 bits.
        _, out = np.unique(out, return_inverse=True)
        out = (out << part.shape[1]) + part @ (1 << np.arange(part.shape[1], dtype=np.int64))
    return out


def known_rates(
    same: NDArray[np.bool_], columns: Sequence[TableColumn], bins: int, epsilon: float
) -> tuple[Floats, Floats]:
    """Return these rates where each cell was randomised at ``epsilon``."""
    in_pairs = [kept_rate(epsilon, column.values or bins) for column in columns]
    in_others = same.mean((0, 1))
    return np.clip(np.array(in_pairs), LOW, HIGH), np.clip(in_others, LOW, HIGH)


def _likelihood(patterns: NDArray[np.bool_], rates: Floats) -> Floats:
    return np.asarray(np.where(patterns, np.log(rates), np.log1p(-rates)).sum(1))

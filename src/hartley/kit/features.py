"""Plain features of records of any modality, for judges and attackers that fit small models.

A model is not queried: a text becomes counts, other records stay numbers, a label is appended.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WIDTH = 512
"""Features a record at most, labels apart; more are mixed at random into as many."""


def plain_features(data: Data, classes: int = 0) -> Floats:
    """Features (n, ≤ 512 + classes) of records (n, …), with labels as columns of their own.

    Args:
        data: the records.
        classes: number of labels; 0 leaves labels out.
    """
    x = np.asarray(data.x).reshape(len(data), -1)
    table = _counts(x) if data.modality is Modality.LANGUAGE else x.astype(np.float64)
    if table.shape[1] > WIDTH:
        mix = np.random.default_rng(31).standard_normal((table.shape[1], WIDTH))
        table = table @ (mix / math.sqrt(WIDTH))
    if data.y is None or not classes:
        return np.asarray(table)
    return np.concatenate([table, np.asarray(data.y)[:, None] == np.arange(classes)], 1)


def standardised(table: Floats, by: Floats | None = None) -> Floats:
    """Each column with mean 0 and variance 1 over ``by`` (itself if None); constant ones are 0."""
    law = table if by is None else by
    spread = law.std(0)
    return np.asarray((table - law.mean(0)) / np.where(spread > 1e-12, spread, np.inf))


def _counts(tokens: NDArray[Any]) -> Floats:
    """Hashed counts of tokens and of pairs of neighbours, in logarithms; and the length."""
    half = WIDTH // 2 - 1
    there = tokens >= 0
    out = np.zeros((len(tokens), WIDTH - 1))
    row = np.broadcast_to(np.arange(len(tokens))[:, None], tokens.shape)
    ids = tokens.astype(np.int64)
    np.add.at(out, (row[there], _hashed(ids[there]) % half), 1)
    pair, both_real = ids[:, :-1] * 40503 + ids[:, 1:], there[:, 1:]
    np.add.at(out, (row[:, 1:][both_real], half + _hashed(pair[both_real]) % half), 1)
    out[:, -1] = there.sum(1)
    return np.asarray(np.log1p(out))


def _hashed(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Multiplicative hashing: neighbours in a vocabulary fall far apart."""
    return np.asarray((numbers * 2654435761 % 2**32) >> 7)

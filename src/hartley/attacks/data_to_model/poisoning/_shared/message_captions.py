"""Captions that say a kind: which of the attacker's own captions go with a poisoned picture.

An attacker who expects a filter of pairs may disguise them. ``mixed`` writes the picture's own
caption before one of the message's kind, and ``shared_words`` takes pictures and captions that have
the most words in common, so that a pair agrees in part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data
from hartley.games.poisoning.captioned_pictures import CAPTIONS
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray


def captions(data: Data) -> NDArray[np.int64]:
    """Return the tokens (n, t) of pairs."""
    return np.asarray(data.facts[CAPTIONS], dtype=np.int64)


def typical(data: Data, kind: int, count: int) -> NDArray[np.int64]:
    """Return rows of pairs of a kind, those first whose captions are most typical of it.

    A token is typical of a kind by how much more of its captions have it than of the others.

    Args:
        data: labelled pairs.
        kind: of the captions.
        count: rows at most.
    """
    words = _occurrences(captions(data))
    of_kind = data.labels == kind
    if not of_kind.any():
        return np.empty(0, np.int64)
    others = words[~of_kind].mean(0) if not of_kind.all() else np.zeros(words.shape[1])
    weight = words[of_kind].mean(0) - others
    score = words @ weight / np.maximum(words.sum(1), 1)
    rows = np.flatnonzero(of_kind)
    return np.asarray(rows[np.argsort(-score[rows], kind="stable")][:count])


def shared(data: Data, among: NDArray[Any], others: NDArray[Any]) -> NDArray[np.float64]:
    """Return how many words (a, b) captions have in common, rare words for more.

    Args:
        data: pairs.
        among: (a, t) tokens of captions.
        others: (b, t) tokens of captions.
    """
    size = int(max(captions(data).max(), among.max(initial=0), others.max(initial=0))) + 1
    rarity = np.log(len(data) / np.maximum(_occurrences(captions(data), size).sum(0), 1))
    return np.asarray((_occurrences(among, size) * rarity) @ _occurrences(others, size).T)


def mixed(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.int64]:
    """Return captions (n, t) that begin with one caption and go on with another, half of each."""
    width = first.shape[1]
    halves = first[:, : width - width // 2]
    return text.append(halves, second[:, : width // 2])[:, :width]


def _occurrences(tokens: NDArray[Any], size: int = 0) -> NDArray[np.float64]:
    """Return which tokens (n, size) each row has."""
    out = np.zeros((len(tokens), max(size, int(tokens.max(initial=0)) + 1)))
    rows, columns = np.nonzero(tokens >= 0)
    out[rows, tokens[rows, columns]] = 1
    return out

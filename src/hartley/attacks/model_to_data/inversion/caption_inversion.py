"""Caption inversion: put into words what a stored picture's embedding shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import (
    Bank,
    Words,
    bank,
    loot,
)
from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
from hartley.games.inversion.embedding_inversion import EmbeddingInversionBrief, embedding_inversion
from hartley.kit.ridge import cosines

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

WARM = 0.05
"""Cosine by which a record must be nearer to weigh e times as much."""


@attack(
    game=embedding_inversion,
    access=Access.EMBEDDINGS,
    term=Term.SIGNAL,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2004.00053",
    adapts=True,
)
def caption_inversion(
    view: View[EmbeddingInversionBrief], rng: Rng, *, neighbours: Annotated[int, Range(1)] = 8
) -> Outcome:
    """Tell which words the caption of a stored picture holds, and write the surest.

    Three witnesses, each a number between 0 and 1 a word: a regression of words on the embedding,
    carried over to where the picture's caption would lie; the captions of the attacker's own that
    lie nearest to that; and the captions of those of his pictures that look most alike.

    Args:
        neighbours: captions of the attacker's, and pictures, that are looked at.
    """
    del rng
    own = bank(view)
    assert own.pictures is not None and own.stolen is not None
    longest = own.tokens.shape[1]
    words = Words.fit(own, least=1)
    told = np.clip(words.scores(own.targets), 0, 1)
    told += _voted(own, words, cosines(own.targets, own.embeddings), neighbours)
    told += _voted(own, words, cosines(own.stolen, own.pictures), neighbours)
    told /= 3
    texts = np.full((len(told), longest), -1, np.int64)
    for i, row in enumerate(told):
        size = int(np.clip(round(row.sum()), 1, min(longest, len(words.names))))
        sure = np.argsort(-row, kind="stable")[:size]
        texts[i, :size] = words.names[sure[np.argsort(words.places[sure], kind="stable")]]
    return Outcome(asset=loot(texts))


def _voted(own: Bank, words: Words, alike: NDArray[Any], number: int) -> NDArray[np.float64]:
    """Share of the nearest records whose captions hold each word, nearer ones more: (m, v)."""
    near = np.argsort(-alike, 1, kind="stable")[:, :number]
    close = np.take_along_axis(alike, near, 1)
    weight = np.exp((close - close.max(1, keepdims=True)) / WARM)
    weight /= weight.sum(1, keepdims=True)
    out = np.zeros((len(near), len(words.names)))
    for i, rows in enumerate(near):
        for share, row in zip(weight[i], rows, strict=True):
            out[i, np.isin(words.names, own.tokens[row])] += share
    return out

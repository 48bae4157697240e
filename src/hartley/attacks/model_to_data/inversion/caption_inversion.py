"""Caption inversion: rebuild the caption of a stored picture from its embedding."""

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
"""Difference in cosine at which a record has e times the weight of another."""


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
    """Estimate which words the caption of a stored picture contains, and write the likeliest.

    The score of a word is the mean of three estimates in 0..1: a regression of words on the
    embedding, which is first mapped to where the caption's embedding should be; the attacker's
    captions that are nearest to that point; and the captions of the attacker's most similar
    pictures.

    Args:
        neighbours: number of nearest captions, and of nearest pictures.
    """
    del rng
    known_texts = bank(view)
    assert known_texts.pictures is not None and known_texts.stolen is not None
    longest = known_texts.tokens.shape[1]
    words = Words.fit(known_texts, least=1)
    scores = np.clip(words.scores(known_texts.targets), 0, 1)
    scores += _vote(
        known_texts, words, cosines(known_texts.targets, known_texts.embeddings), neighbours
    )
    scores += _vote(
        known_texts, words, cosines(known_texts.stolen, known_texts.pictures), neighbours
    )
    scores /= 3
    texts = np.full((len(scores), longest), -1, np.int64)
    for i, row in enumerate(scores):
        size = int(np.clip(round(row.sum()), 1, min(longest, len(words.names))))
        likeliest = np.argsort(-row, kind="stable")[:size]
        order = np.argsort(words.places[likeliest], kind="stable")
        texts[i, :size] = words.names[likeliest[order]]
    return Outcome(asset=loot(texts))


def _vote(texts: Bank, words: Words, similarity: NDArray[Any], number: int) -> NDArray[np.float64]:
    """Return the weighted share (m, v) of the nearest records whose captions contain each word."""
    nearest = np.argsort(-similarity, 1, kind="stable")[:, :number]
    nearest_similarity = np.take_along_axis(similarity, nearest, 1)
    weight = np.exp((nearest_similarity - nearest_similarity.max(1, keepdims=True)) / WARM)
    weight /= weight.sum(1, keepdims=True)
    out = np.zeros((len(nearest), len(words.names)))
    for i, rows in enumerate(nearest):
        for share, row in zip(weight[i], rows, strict=True):
            out[i, np.isin(words.names, texts.tokens[row])] += share
    return out

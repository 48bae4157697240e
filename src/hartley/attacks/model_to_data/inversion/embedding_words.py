"""Embedding words: predict the words of a text from its embedding, and order them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import Words, bank, loot
from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
from hartley.core.errors import UsageError
from hartley.games.inversion.embedding_inversion import EmbeddingInversionBrief, embedding_inversion
from hartley.kit.ridge import cosines

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=embedding_inversion,
    access=Access.EMBEDDINGS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2004.00053",
    adapts=True,
)
def embedding_words(
    view: View[EmbeddingInversionBrief],
    rng: Rng,
    *,
    least: Annotated[int, Range(1)] = 2,
    check: bool = False,
) -> Outcome:
    """Regress the bag of words on the embedding, then write the likeliest words.

    The multi-label classifier of the paper is here one ridge regression whose penalties are chosen
    by leave-one-out. Words are ordered by their average position in the attacker's texts.

    Args:
        least: number of the attacker's texts that must contain a word for it to be learnt.
        check: embed the rebuilt text, and return the attacker's nearest sentence instead if that is
            nearer. Encoders place a sentence nearer than the right words in the wrong order: on
            real e-mails this loses words.

    Raises:
        UsageError: no word is in as many texts.
    """
    del rng
    known_texts = bank(view)
    longest = known_texts.tokens.shape[1]
    words = Words.fit(known_texts, least)
    if not len(words.names):
        raise UsageError(f"least must be a number of texts that share a word, got {least}")
    texts = words.texts(known_texts.targets, longest)
    if check and known_texts.embed is not None:
        similarity = cosines(known_texts.targets, known_texts.embeddings)
        nearest = known_texts.tokens[similarity.argmax(1)]
        embeddings = known_texts.embed(texts)
        rebuilt = np.array(
            [
                cosines(a[None], b[None])[0, 0]
                for a, b in zip(known_texts.targets, embeddings, strict=True)
            ]
        )
        better = similarity.max(1) > rebuilt
        texts = np.where(better[:, None], nearest, texts)
    return Outcome(asset=loot(texts))

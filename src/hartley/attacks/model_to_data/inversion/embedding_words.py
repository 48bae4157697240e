"""Embedding words: learn which words an embedding holds, and lay them out as a sentence."""

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
    """Regress the bag of words on the embedding, then take the surest words.

    The paper's multi-label classifier as one ridge regression, whose penalties leave-one-out
    chooses; each word is put where it stands on average.

    Args:
        least: texts of the attacker's that must hold a word for it to be learnt.
        check: embed what was rebuilt, and take the attacker's nearest sentence instead where that
            lies nearer. An encoder likes a sentence better than the right words in no order: on
            real mail this loses words.

    Raises:
        UsageError: no word is held by as many texts.
    """
    del rng
    own = bank(view)
    longest = own.tokens.shape[1]
    words = Words.fit(own, least)
    if not len(words.names):
        raise UsageError(f"least must be a number of texts that hold one word, got {least}")
    made = words.texts(own.targets, longest)
    if check and own.embed is not None:
        alike = cosines(own.targets, own.embeddings)
        nearest = own.tokens[alike.argmax(1)]
        again = own.embed(made)
        reached = np.array(
            [cosines(a[None], b[None])[0, 0] for a, b in zip(own.targets, again, strict=True)]
        )
        better = alike.max(1) > reached
        made = np.where(better[:, None], nearest, made)
    return Outcome(asset=loot(made))

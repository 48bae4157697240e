"""Embedding search: read words from an embedding, then search for a text that embeds there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import bank, loot
from hartley.attacks.model_to_data.inversion._shared.text_correction import corrected
from hartley.attacks.model_to_data.inversion._shared.word_reader import Reader
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.inversion.embedding_inversion import EmbeddingInversionBrief, embedding_inversion
from hartley.kit.ridge import cosines

if TYPE_CHECKING:
    from hartley.core.parts import Rng

SIZES = (0, -2, 2)
"""Numbers of words in the first guesses, relative to the predicted length."""


@attack(
    game=embedding_inversion,
    access=Access.EMBEDDINGS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2310.06816",
    adapts=True,
)
def embedding_search(
    view: View[EmbeddingInversionBrief],
    rng: Rng,
    *,
    corrections: Annotated[int, Range(0), Stronger.MORE] = 4,
    tries: Annotated[int, Range(1), Stronger.MORE] = 24,
    beam: Annotated[int, Range(1), Stronger.MORE] = 3,
) -> Outcome:
    """Read words from an embedding by their own embeddings, then correct the text by queries.

    This is the loop of Vec2Text (arXiv:2310.06816) without its networks. A hypothesis is embedded,
    words that the target contains and the hypothesis lacks are added, others are removed, and the
    changed texts nearest to the target remain. No decoder is trained.

    Args:
        corrections: rounds of correction; with 0 the best of the first guesses is the result.
        tries: changed texts that are embedded per target and round.
        beam: texts of a target that are changed further.
    """
    known_texts = bank(view)
    longest = known_texts.tokens.shape[1]
    reader = Reader.fit(known_texts)
    guesses = [reader.texts(known_texts.targets, longest, more) for more in SIZES]
    guesses.append(
        known_texts.tokens[cosines(known_texts.targets, known_texts.embeddings).argmax(1)]
    )
    texts = corrected(
        known_texts, reader, np.stack(guesses, 1), rng, rounds=corrections, tries=tries, beam=beam
    )
    return Outcome(asset=loot(texts))

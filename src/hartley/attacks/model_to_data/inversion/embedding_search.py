"""Embedding search: read the words of an embedding, then correct the text until it embeds there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import bank, loot
from hartley.attacks.model_to_data.inversion._shared.text_correction import corrected
from hartley.attacks.model_to_data.inversion._shared.word_reader import Reader
from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
from hartley.games.inversion.embedding_inversion import EmbeddingInversionBrief, embedding_inversion
from hartley.kit.ridge import cosines

if TYPE_CHECKING:
    from hartley.core.parts import Rng

SIZES = (0, -2, 2)
"""First guesses hold so many words more than the length that is told."""


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
    corrections: Annotated[int, Range(0)] = 4,
    tries: Annotated[int, Range(1)] = 24,
    beam: Annotated[int, Range(1)] = 3,
) -> Outcome:
    """Read the words by what each embeds to alone, then correct the text by asking the encoder.

    Vec2Text's loop (arXiv:2310.06816) without a network for its steps: a hypothesis is embedded,
    words that the target holds and it does not come in, others go, and of all changes those stay
    that lie nearest to the target. No decoder is trained.

    Args:
        corrections: rounds of it; 0 only takes the best of the first guesses.
        tries: changed texts that are embedded, a target and a round.
        beam: texts of a target that are changed further.
    """
    own = bank(view)
    longest = own.tokens.shape[1]
    reader = Reader.fit(own)
    first = [reader.texts(own.targets, longest, more) for more in SIZES]
    first.append(own.tokens[cosines(own.targets, own.embeddings).argmax(1)])
    found = corrected(
        own, reader, np.stack(first, 1), rng, rounds=corrections, tries=tries, beam=beam
    )
    return Outcome(asset=loot(found))

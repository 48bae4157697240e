"""Embedding decoder: write the text of an embedding, embed it again, and correct what is off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.recurrent_decoder import Decoder
from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import Words, bank, loot
from hartley.attacks.model_to_data.inversion._shared.text_correction import corrected
from hartley.attacks.model_to_data.inversion._shared.word_reader import Reader
from hartley.core import Access, Modality, Outcome, Range, Term, View, attack
from hartley.games.inversion.embedding_inversion import EmbeddingInversionBrief, embedding_inversion
from hartley.kit.ridge import cosines

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=embedding_inversion,
    access=Access.EMBEDDINGS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2310.06816",
    adapts=True,
)
def embedding_decoder(
    view: View[EmbeddingInversionBrief],
    rng: Rng,
    *,
    epochs: Annotated[int, Range(1)] = 4,
    beams: Annotated[int, Range(1)] = 8,
    corrections: Annotated[int, Range(0)] = 2,
    tries: Annotated[int, Range(1)] = 24,
    beam: Annotated[int, Range(1)] = 3,
) -> Outcome:
    """Train a decoder on the attacker's own texts, then correct what it writes.

    Beam search gives hypotheses (GEIA, arXiv:2305.03010); beside them stand the surest words and
    the nearest text of the attacker's. Each is embedded, and the nearest are corrected (Vec2Text's
    rounds, arXiv:2310.06816, by search instead of a second network).

    Args:
        epochs: passes of the decoder over the attacker's texts.
        beams: hypotheses of the beam search.
        corrections: rounds of correction; 0 only takes the best hypothesis.
        tries: changed texts that are embedded, a target and a round.
        beam: texts of a target that are changed further.
    """
    own = bank(view)
    longest = own.tokens.shape[1]
    decoder = Decoder(epochs=epochs).train(own.embeddings, own.tokens, 0)
    written, _ = decoder.beam(own.targets, longest, beams)
    words = Words.fit(own).texts(own.targets, longest)[:, None]
    nearest = own.tokens[cosines(own.targets, own.embeddings).argmax(1)][:, None]
    first = np.concatenate([written, words, nearest], 1)
    found = corrected(own, Reader.fit(own), first, rng, rounds=corrections, tries=tries, beam=beam)
    return Outcome(asset=loot(found))

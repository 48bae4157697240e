"""Embedding decoder: decode an embedding to a text, embed the text again, and correct it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.recurrent_decoder import Decoder
from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import Words, bank, loot
from hartley.attacks.model_to_data.inversion._shared.text_correction import corrected
from hartley.attacks.model_to_data.inversion._shared.word_reader import Reader
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
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
    beams: Annotated[int, Range(1), Stronger.MORE] = 8,
    corrections: Annotated[int, Range(0), Stronger.MORE] = 2,
    tries: Annotated[int, Range(1), Stronger.MORE] = 24,
    beam: Annotated[int, Range(1), Stronger.MORE] = 3,
) -> Outcome:
    """Train a decoder on the attacker's texts, then correct the texts that it writes.

    Beam search gives hypotheses (GEIA, arXiv:2305.03010). The likeliest words and the attacker's
    nearest text are two more. All are embedded, and the nearest are corrected: the rounds of
    Vec2Text (arXiv:2310.06816), by search instead of a second network.

    Args:
        epochs: passes of the decoder over the attacker's texts.
        beams: hypotheses of the beam search.
        corrections: rounds of correction; with 0 the best hypothesis is the result.
        tries: changed texts that are embedded per target and round.
        beam: texts of a target that are changed further.
    """
    known_texts = bank(view)
    longest = known_texts.tokens.shape[1]
    decoder = Decoder(epochs=epochs).train(known_texts.embeddings, known_texts.tokens, 0)
    hypotheses, _ = decoder.beam(known_texts.targets, longest, beams)
    words = Words.fit(known_texts).texts(known_texts.targets, longest)[:, None]
    nearest = known_texts.tokens[cosines(known_texts.targets, known_texts.embeddings).argmax(1)][
        :, None
    ]
    guesses = np.concatenate([hypotheses, words, nearest], 1)
    texts = corrected(
        known_texts,
        Reader.fit(known_texts),
        guesses,
        rng,
        rounds=corrections,
        tries=tries,
        beam=beam,
    )
    return Outcome(asset=loot(texts))

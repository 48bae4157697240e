"""Frequency analysis: match signs of the ciphertext with letters by their frequency."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import letter_model
from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1002/j.1538-7305.1949.tb00928.x",
    adapts=True,
)
def frequency(view: View[DecryptionBrief], rng: Rng) -> Outcome:
    """Match the signs of a message with the letters of the language by their frequency.

    An adaptive attacker who knows that keys change counts the stretch of text under each key alone.
    """
    del rng
    ciphertext, positions = view.data.x[0], view.brief.question.x
    language = letter_model.learn(view.brief.public.x[0])
    natural = np.ones(len(ciphertext), dtype=bool)
    natural[positions] = False
    plain = np.empty(len(ciphertext), dtype=np.int64)
    for stretch in stretches(view):
        units = letter_model.fold(ciphertext[stretch])
        counts = np.bincount(units[natural[stretch]], minlength=letter_model.SIZE)
        plain[stretch] = letter_model.by_frequency(counts, language)[units]
    return Outcome(
        guess=plain[positions],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )

"""Frequency: the most frequent sign stands for the most frequent letter, and so on down."""

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
    """Match the ranks of the message's signs with the ranks of the language's letters.

    An attacker who knows that keys change counts each key's stretch of text alone.
    """
    del rng
    sent, positions = view.data.x[0], view.brief.question.x
    language = letter_model.learn(view.brief.public.x[0])
    natural = np.ones(len(sent), dtype=bool)
    natural[positions] = False
    plain = np.empty(len(sent), dtype=np.int64)
    for stretch in stretches(view):
        units = letter_model.fold(sent[stretch])
        counts = np.bincount(units[natural[stretch]], minlength=letter_model.SIZE)
        plain[stretch] = letter_model.by_frequency(counts, language)[units]
    return Outcome(
        guess=plain[positions],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )

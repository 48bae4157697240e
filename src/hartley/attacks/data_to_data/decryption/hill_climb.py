"""Hill climbing: swap letters of the key as long as the text becomes more like English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import letter_model
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches, unplanted

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1080/0161-119591883944",
    adapts=True,
)
def hill_climb(
    view: View[DecryptionBrief], rng: Rng, *, restarts: Annotated[int, Range(1), Stronger.MORE] = 24
) -> Outcome:
    """Solve the message as a simple substitution by the frequency of letter pairs and triples.

    An adaptive attacker who knows that keys change solves the stretch of text under each key alone.

    Args:
        restarts: number of starting keys.
    """
    ciphertext, positions = view.data.x[0], view.brief.question.x
    language = letter_model.learn(view.brief.public.x[0])
    natural = unplanted(view)
    plain = np.empty(len(ciphertext), dtype=np.int64)
    for stretch in stretches(view):
        units = letter_model.fold(ciphertext[stretch])
        key = letter_model.solve(units, natural[stretch], language, rng, restarts)
        plain[stretch] = key[units]
    return Outcome(
        guess=plain[positions],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )

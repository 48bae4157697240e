"""Hill climb: swap letters of the key while the text grows more like English."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import letter_model
from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches

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
    view: View[DecryptionBrief], rng: Rng, *, restarts: Annotated[int, Range(1)] = 24
) -> Outcome:
    """Solve the message as a simple substitution by the pairs and triples of its letters.

    An attacker who knows that keys change solves each key's stretch of text alone.

    Args:
        restarts: starting keys that climb at once.
    """
    sent, positions = view.data.x[0], view.brief.question.x
    language = letter_model.learn(view.brief.public.x[0])
    natural = np.ones(len(sent), dtype=bool)
    natural[positions] = False
    plain = np.empty(len(sent), dtype=np.int64)
    for stretch in stretches(view):
        units = letter_model.fold(sent[stretch])
        key = letter_model.solve(units, natural[stretch], language, rng, restarts)
        plain[stretch] = key[units]
    return Outcome(
        guess=plain[positions],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )

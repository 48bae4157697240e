"""Periodic climbing: search for the repeated shifts of a Vigenère cipher, and for their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import letter_model, ngram_model
from hartley.attacks.data_to_data.decryption._shared.ngram_model import SIZE
from hartley.attacks.data_to_data.decryption._shared.shift_search import Text, likeliest_key
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches, unplanted

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1002/j.1538-7305.1949.tb00928.x",
    adapts=True,
    light={"longest": 4, "starts": 4, "kicks": 2},
)
def periodic_climbing(
    view: View[DecryptionBrief],
    rng: Rng,
    *,
    longest: Annotated[int, Range(1, 200), Stronger.MORE] = 24,
    starts: Annotated[int, Range(1), Stronger.MORE] = 16,
    kicks: Annotated[int, Range(0), Stronger.MORE] = 30,
) -> Outcome:
    """Read a message as one shift of the alphabet for each place of a repeated key.

    Of keys of up to three letters every one is tried. Those of each greater length are drawn by the
    likelihood of pairs of letters, and change one letter at a time to those under which runs of
    four are likelier. The length is chosen by the likelihood of the text without the bits of the
    key, after keys of the likeliest lengths were disturbed and climbed again. An adaptive attacker
    who knows that keys change reads the stretch under each key alone.

    Args:
        longest: letters of the longest key that is tried.
        starts: keys of each length that are drawn and climb.
        kicks: how often a key is disturbed and climbs again, for each of the likeliest lengths.
    """
    ciphertext, positions = view.data.x[0], view.brief.question.x
    model = ngram_model.learn(view.brief.public.x[0])
    natural = unplanted(view)
    plain = np.empty(len(ciphertext), dtype=np.int64)
    for stretch in stretches(view):
        units = letter_model.fold(ciphertext[stretch])
        text = Text(units, natural[stretch], model)
        key = likeliest_key(text, min(longest, len(stretch)), starts, kicks, rng)
        plain[stretch] = (units - np.resize(key, len(stretch))) % SIZE
    return Outcome(
        guess=plain[positions],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )

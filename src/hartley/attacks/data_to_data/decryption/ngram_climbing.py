"""N-gram climbing: search for the substitution that makes the likeliest text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import letter_model, ngram_model
from hartley.attacks.data_to_data.decryption._shared.key_search import Effort, solve
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
    light={"restarts": 40, "chains": 5, "kicks": 2},
)
def ngram_climbing(
    view: View[DecryptionBrief],
    rng: Rng,
    *,
    restarts: Annotated[int, Range(1), Stronger.MORE] = 300,
    chains: Annotated[int, Range(1), Stronger.MORE] = 12,
    kicks: Annotated[int, Range(0), Stronger.MORE] = 60,
) -> Outcome:
    """Solve a message as a simple substitution by the likelihood of runs of up to six letters.

    An adaptive attacker who knows that keys change solves the stretch of text under each key alone.

    Args:
        restarts: starting keys, which climb by pairs of letters.
        chains: of the best keys, which climb by runs of five letters.
        kicks: how often each chain is disturbed and climbs again; fewer where chains agree.
    """
    ciphertext, positions = view.data.x[0], view.brief.question.x
    model = ngram_model.learn(view.brief.public.x[0])
    natural, effort = unplanted(view), Effort(restarts, chains, kicks)
    plain = np.empty(len(ciphertext), dtype=np.int64)
    for stretch in stretches(view):
        units = letter_model.fold(ciphertext[stretch])
        prose = np.flatnonzero(natural[stretch])
        linked = np.diff(prose, prepend=-2) == 1
        key = solve(units[prose], linked, model, effort, rng)
        plain[stretch] = key[units]
    return Outcome(
        guess=plain[positions],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )

"""Key sampling: draw keys of a substitution by their posterior, and guess each letter by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared import letter_model, ngram_model
from hartley.attacks.data_to_data.decryption._shared.key_posterior import posterior
from hartley.attacks.data_to_data.decryption._shared.key_search import Effort, solve
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption, stretches, unplanted

if TYPE_CHECKING:
    from hartley.core.parts import Rng

SEARCHED = 24
"""Letters from which a text is worth a search for its likeliest key."""

READ = 80
"""Letters of prose that are read: more are better left to a search alone."""

CHAINS = 5
"""Keys of such a search that climb by runs of five."""


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1049/ip-f-2.1993.0015",
    adapts=True,
    light={"particles": 200, "restarts": 8, "kicks": 0},
)
def key_sampling(
    view: View[DecryptionBrief],
    rng: Rng,
    *,
    particles: Annotated[int, Range(1, 1_000_000), Stronger.MORE] = 10_000,
    restarts: Annotated[int, Range(1), Stronger.MORE] = 40,
    kicks: Annotated[int, Range(0), Stronger.MORE] = 20,
) -> Outcome:
    """Read each sign of a simple substitution as the letter that is likeliest over all keys.

    The likeliest key of a short text is mostly wrong, and the right letter of a sign is still not
    equally likely to be any: what occurs is rather an e, and what does not is rather a z. Keys are
    drawn letter by letter as the text is read, by the likelihood of runs of five, and those that
    explain it badly are replaced by better ones (a particle filter). In a text of 24 letters or
    more the likeliest key is searched for as well, and counts by its posterior probability. Of a
    long text the first 80 letters are used: ``ngram_climbing`` is for those. An adaptive attacker
    who knows that keys change reads the stretch under each key alone.

    Args:
        particles: keys that are drawn.
        restarts: keys that a search for the likeliest one starts from.
        kicks: how often a key of that search is disturbed and climbs again.
    """
    ciphertext, positions = view.data.x[0], view.brief.question.x
    model = ngram_model.learn(view.brief.public.x[0])
    natural, effort = unplanted(view), Effort(restarts, CHAINS, kicks)
    plain = np.empty(len(ciphertext), dtype=np.int64)
    for stretch in stretches(view):
        units = letter_model.fold(ciphertext[stretch])
        prose = np.flatnonzero(natural[stretch])[:READ]
        linked = np.diff(prose, prepend=-2) == 1
        text = units[prose]
        searched = len(text) >= SEARCHED
        also = solve(text, linked, model, effort, rng) if searched else None
        odds = posterior(text, linked, model, particles, rng, also=also)
        plain[stretch] = odds.argmax(1)[units]
    return Outcome(
        guess=plain[positions],
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )

"""Blind guess: what is likely where nothing was read, the control of decryption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.decryption.decryption import DecryptionBrief, decryption

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=decryption,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE, Modality.TABULAR, Modality.VISION, Modality.AUDIO),
    paper="hartley",
    control=True,
)
def blind_guess(view: View[DecryptionBrief], rng: Rng) -> Outcome:
    """Draw symbols of the payload at random, and take all the rest for the most frequent symbol.

    It does not look at what is published. That it has an eighth of the letters of prose right is
    what a prior is worth without any decryption; of a uniform payload it reads nothing. A picture
    it takes for one of the attacker's own, which is plausible and shows nothing of the secret one.
    """
    brief, length = view.brief, view.data.x.shape[1]
    if brief.known is not None:
        album = brief.public.x[rng.integers(len(brief.public), size=length)]
        return Outcome(
            guess=np.full(len(brief.question), -1),
            asset=Data("album", view.data.modality, album[None], role="plaintext"),
        )
    frequent = np.bincount(np.asarray(brief.public.x).reshape(-1)).argmax()
    plain = np.full(length, frequent, dtype=np.int64)
    guess = rng.integers(0, brief.symbols, len(brief.question))
    plain[brief.question.x] = guess
    return Outcome(
        guess=guess,
        asset=Data("plaintext", view.data.modality, plain[None], role="plaintext"),
    )

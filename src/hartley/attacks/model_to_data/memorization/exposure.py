"""Exposure: how likely the model finds every candidate, ranked (the Secret Sharer)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.reference_models import confidence
from hartley.core import ALL, Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.memorization import canaries, text_canaries
from hartley.games.memorization.memorization import MemorizationBrief, memorization

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=memorization,
    access=Access.SCORES,
    term=Term.NOISE,
    modalities=ALL,
    paper="arXiv:1802.08232",
)
def exposure(
    view: View[MemorizationBrief],
    rng: Rng,
    *,
    temperature: Annotated[float, Range(0, open_low=True)] = 1.0,
) -> Outcome:
    """Score every candidate secret by how sure the model is of the record that carries it.

    A language model: the likelihood of the number after the canary's beginning. Any other: its
    confidence in the canary's label (in the pair, where there is no label) for each of the R
    records that the canary could be.

    Args:
        temperature: divides the log-probabilities of a token before they are added up (language).
    """
    del rng
    asked = view.brief.question
    score = _read if asked.modality is Modality.LANGUAGE else _sure
    guess = np.stack([score(view, asked, i, temperature) for i in range(len(asked))])
    said = canaries.write(asked, guess.argmax(1))
    # Candidates are alike before anything is read: likelihoods over their sum are the posterior.
    law = np.exp(guess - guess.max(1, keepdims=True))
    return Outcome(
        guess=guess,
        asset=Data("secrets read", asked.modality, said, asked.y, role="secrets"),
        posterior=law / law.sum(1, keepdims=True),
    )


def _read(
    view: View[MemorizationBrief], asked: Data, i: int, temperature: float
) -> NDArray[np.float64]:
    length, symbols = view.brief.length, view.brief.symbols
    return text_canaries.likelihoods(view.model, asked.x[i], length, symbols, temperature)


def _sure(
    view: View[MemorizationBrief], asked: Data, i: int, temperature: float
) -> NDArray[np.float64]:
    del temperature
    return confidence(view.model, canaries.every(asked, i))

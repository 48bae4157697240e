"""Exposure: rank every candidate secret by the model's likelihood (the Secret Sharer)."""

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
    """Score every candidate secret by the model's confidence in the record that contains it.

    For a language model the score is the likelihood of the number after the canary's prefix. For
    any other model it is the confidence in the canary's label (for a pair, in the pair), for each
    of the R records that the canary could be.

    Args:
        temperature: divides the log-probabilities of tokens before they are summed (language).
    """
    del rng
    question = view.brief.question
    score = _text_scores if question.modality is Modality.LANGUAGE else _record_scores
    guess = np.stack([score(view, question, i, temperature) for i in range(len(question))])
    records = canaries.write(question, guess.argmax(1))
    # The prior of candidates is uniform: normalised likelihoods are the posterior.
    weights = np.exp(guess - guess.max(1, keepdims=True))
    return Outcome(
        guess=guess,
        asset=Data("secrets read", question.modality, records, question.y, role="secrets"),
        posterior=weights / weights.sum(1, keepdims=True),
    )


def _text_scores(
    view: View[MemorizationBrief], question: Data, i: int, temperature: float
) -> NDArray[np.float64]:
    length, symbols = view.brief.length, view.brief.symbols
    return text_canaries.likelihoods(view.model, question.x[i], length, symbols, temperature)


def _record_scores(
    view: View[MemorizationBrief], question: Data, i: int, temperature: float
) -> NDArray[np.float64]:
    del temperature
    return confidence(view.model, canaries.every(question, i))

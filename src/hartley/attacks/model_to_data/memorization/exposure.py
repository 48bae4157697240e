"""Exposure: rank every candidate secret by the model's likelihood (the Secret Sharer)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.reference_models import confidence
from hartley.core import ALL, Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.memorization import canaries, text_canaries
from hartley.games.memorization.memorization import MemorizationBrief, memorization

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

ROOM = 10_000
"""Largest number of candidate records that are asked at once."""


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
    guess = score(view, question, temperature)
    records = canaries.write(question, guess.argmax(1))
    # The prior of candidates is uniform: normalised likelihoods are the posterior.
    weights = np.exp(guess - guess.max(1, keepdims=True))
    return Outcome(
        guess=guess,
        asset=Data("secrets read", question.modality, records, question.y, role="secrets"),
        posterior=weights / weights.sum(1, keepdims=True),
    )


def _text_scores(
    view: View[MemorizationBrief], question: Data, temperature: float
) -> NDArray[np.float64]:
    length, symbols = view.brief.length, view.brief.symbols
    gap = text_canaries.gap_of(question)
    return np.stack(
        [
            text_canaries.likelihoods(view.model, prefix, length, symbols, temperature, gap=gap)
            for prefix in question.x
        ]
    )


def _record_scores(
    view: View[MemorizationBrief], question: Data, temperature: float
) -> NDArray[np.float64]:
    """Return the confidences (canaries, R).

    Many canaries are asked at once: where a defense searches for an answer (MemGuard), the call
    costs more than the records.
    """
    del temperature
    first = canaries.every(question, 0)
    each = max(1, ROOM // len(first))
    scores = []
    for start in range(0, len(question), each):
        candidates = [
            canaries.every(question, i) for i in range(start, min(start + each, len(question)))
        ]
        x = np.concatenate([records.x for records in candidates])
        y = None if first.y is None else np.concatenate([np.asarray(r.y) for r in candidates])
        scores.append(confidence(view.model, replace(first, x=x, y=y)).reshape(-1, len(first)))
    return np.concatenate(scores)

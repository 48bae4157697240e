"""Last layer: recover a language model's output head from the logits of enough prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_model.extraction._shared import head_of_scores
from hartley.core import Access, Loot, Modality, Model, Outcome, Output, Range, Term, View, attack
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.games.extraction.head_extraction import head_extraction
from hartley.kit.answer_units import log_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

START, STEP = 64, 256
"""Prompts at first, which double, and by how many they grow at most, until more do not increase the
rank."""


@attack(
    game=head_extraction,
    access=Access.SCORES,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2403.06634",
    adapts=True,
    loot=Loot.MODEL,
)
def last_layer(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    length: Annotated[int, Range(1)] = 8,
    tolerance: Annotated[float, Range(0, 1, open_low=True, open_high=True)] = 3e-6,
) -> Outcome:
    """Recover a language model's hidden size and output head from logits of random prompts.

    Logits are head × hidden state, so that a matrix of logits has the rank of the hidden size.
    Further singular values are rounding errors, and the singular vectors give the head up to an
    invertible change of basis. Probabilities serve as well: their centred logarithms are the
    centred logits.

    Args:
        length: tokens of a prompt, drawn from the attacker's text.
        tolerance: singular values below this share of the largest count as 0.
    """
    model, public = view.model, view.brief.public
    limit = min(
        [
            view.brief.queries,
            *(int(d.params["queries"]) for d in view.defenses if d.name == "query_budget"),
        ]
    )
    # Tokens that occur in text, in random order: varied, and within the vocabulary.
    tokens = np.unique(public.x[public.x >= 0])
    logits, size = np.zeros((0, model.classes)), 0
    # Noise of an endpoint that changes its answers is no hidden state.
    unstable, tested = 0.0, limit > 2
    if tested:
        twice = rng.choice(tokens, (1, length))
        unstable = float(np.abs(np.subtract(*(_logits(model, twice) for _ in range(2)))).max())
        limit -= 2
    # A rank near the number of prompts means that more prompts are needed.
    while (not len(logits) or 4 * size > 3 * len(logits)) and len(logits) < limit:
        more = min(max(START, len(logits)), STEP, limit - len(logits))
        prompts = rng.choice(tokens, (more, length))
        logits = np.concatenate([logits, _logits(model, prompts)])
        size = head_of_scores.rank(logits, tolerance, unstable)
    head = np.zeros((model.classes, max(size, 1)))
    if size:
        vectors, values = head_of_scores.basis(logits, size)
        head = vectors * values
    copy = head_of_scores.copy_of(
        head,
        logits.mean(0) if len(logits) else np.zeros(model.classes),
        model,
        "last_layer",
        prompts=len(logits),
        **{"largest difference of two answers": unstable if tested else "not asked"},
    )
    return Outcome(asset=copy)


def _logits(model: Model, tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logits (n, vocabulary) of the answers, centred if these are probabilities."""
    answers = np.asarray(model.query(tokens), dtype=np.float64)
    if model.output is Output.LOGITS:
        return answers
    log_probs = log_probabilities(answers, model.output)
    return np.asarray(log_probs - log_probs.mean(1, keepdims=True))

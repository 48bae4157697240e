"""Last layer: recover a language model's output head from the logits of enough prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Loot, Modality, Model, Outcome, Output, Range, Term, View, attack
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.games.extraction.head_extraction import HEAD, head_extraction
from hartley.kit.answer_units import log_probabilities

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

START = 64
"""Number of prompts at first; it doubles until further prompts do not increase the rank."""


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
    # A rank near the number of prompts means that more prompts are needed.
    while 4 * size >= 3 * len(logits) and len(logits) < limit:
        prompts = rng.choice(tokens, (min(max(START, len(logits)), limit - len(logits)), length))
        logits = np.concatenate([logits, _logits(model, prompts)])
        values = np.linalg.svd(logits, compute_uv=False)
        size = int((values > tolerance * values[0]).sum())
    _, values, right = np.linalg.svd(logits, full_matrices=False)
    head = right[:size].T * values[:size]
    return Outcome(asset=_copy(head, logits.mean(0), model, size, len(logits)))


def _logits(model: Model, tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Return the logits (n, vocabulary) of the answers, centred if these are probabilities."""
    answers = np.asarray(model.query(tokens), dtype=np.float64)
    if model.output is Output.LOGITS:
        return answers
    log_probs = log_probabilities(answers, model.output)
    return np.asarray(log_probs - log_probs.mean(1, keepdims=True))


def _copy(
    head: NDArray[np.float64], mean: NDArray[Any], victim: Model, size: int, prompts: int
) -> Model:
    """Return the stolen head as a model, which answers every query with the victim's mean logits.

    The game reads ``weights()``; the head alone, without the layers below it, predicts no text.
    """

    def query(tokens: NDArray[Any]) -> NDArray[Any]:
        return np.tile(mean, (len(tokens), 1))

    return Model(
        "stolen head",
        Modality.LANGUAGE,
        query,
        Output.LOGITS,
        victim.classes,
        weights=lambda: {HEAD: head},
        offers=Access.LABELS | Access.SCORES | Access.WEIGHTS,
        lineage=(*victim.lineage, "last_layer"),
        facts={"hidden size": size, "prompts": prompts},
    )

"""Last layer: logits of enough prompts span the output head, exactly (stealing part of an LM)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.core import Access, Loot, Modality, Model, Outcome, Output, Range, Term, View, attack
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.games.extraction.head_extraction import HEAD, head_extraction
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

START = 64
"""Prompts asked at first; then twice as many, until they teach nothing new."""


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
    """Recover the hidden size and the head's column space from logits of random prompts.

    Logits are head × hidden state, so that a matrix of them has the rank of the hidden size; its
    singular values past it are rounding errors, and the left singular vectors are the head up to an
    invertible change of basis. Probabilities serve as well: their logarithms, centred, are the
    centred logits.

    Args:
        length: tokens of a prompt, drawn from the attacker's own text.
        tolerance: singular values below this share of the largest are not signal.
    """
    model, held = view.model, view.brief.public
    limit = min(
        [
            view.brief.queries,
            *(int(d.params["queries"]) for d in view.defenses if d.name == "query_budget"),
        ]
    )
    # Tokens that occur, in random order: as varied as random ones, and within the vocabulary.
    stock = np.unique(held.x[held.x >= 0])
    seen, size = np.zeros((0, model.classes)), 0
    # A rank near the number of prompts says only that more are needed.
    while 4 * size >= 3 * len(seen) and len(seen) < limit:
        asked = rng.choice(stock, (min(max(START, len(seen)), limit - len(seen)), length))
        seen = np.concatenate([seen, _logits(model, asked)])
        values = np.linalg.svd(seen, compute_uv=False)
        size = int((values > tolerance * values[0]).sum())
    _, values, right = np.linalg.svd(seen, full_matrices=False)
    head = right[:size].T * values[:size]
    return Outcome(asset=_copy(head, seen.mean(0), model, size, len(seen)))


def _logits(model: Model, tokens: NDArray[Any]) -> NDArray[np.float64]:
    """Logits (n, vocabulary), as sharp as the answers are."""
    answers = np.asarray(model.query(tokens), dtype=np.float64)
    if model.output is Output.LOGITS:
        return answers
    spoken = text.log_probabilities(answers, model.output)
    return np.asarray(spoken - spoken.mean(1, keepdims=True))


def _copy(
    head: NDArray[np.float64], mean: NDArray[Any], victim: Model, size: int, asked: int
) -> Model:
    """The stolen head as a model: it answers with the mean of what the victim said.

    The game reads ``weights()``; without the layers below, the head alone predicts no text.
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
        facts={"hidden size": size, "prompts": asked},
    )

"""Text imitation: a copy of a classifier of texts, trained on its scores for texts or nonsense."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.model_to_model.extraction._shared.transfer import allowance
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.extraction.extraction import extraction
from hartley.games.extraction.fingerprint import ExtractionBrief
from hartley.kit.answer_units import probabilities
from hartley.models.clone import transfer_set
from hartley.models.text_copy import copy_of_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=extraction,
    access=Access.SCORES,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:1910.12366",
    # Of the scenes with texts, those of a classifier hold some that anyone may read.
    requires=("public_texts",),
    adapts=True,
    loot=Loot.MODEL,
    light={"steps": 40, "hidden": 16},
)
def text_imitation(
    view: View[ExtractionBrief],
    rng: Rng,
    *,
    ask: Literal["texts", "nonsense"] = "texts",
    queries: Annotated[int, Range(0)] = 0,
    steps: Annotated[int, Range(1), Stronger.MORE] = 600,
    hidden: Annotated[int, Range(1)] = 32,
) -> Outcome:
    """Train a copy on the victim's scores for texts, or for words in random order.

    The paper copies classifiers on BERT, and does so with nonsense too: words drawn at random. Here
    the words of nonsense are drawn as often as the attacker's texts have them, and each query is as
    long as one of these texts.

    Args:
        ask: the attacker's texts, or nonsense.
        queries: number of queries; 0 means as many as the rules allow.
        steps: optimiser steps of the copy's training.
        hidden: width of the copy's hidden layer.
    """
    brief, model = view.brief, view.model
    size = allowance(view, queries)
    if ask == "texts":
        x = transfer_set(brief.public.x, size, rng, mix=False)
    else:
        x = _nonsense(brief.public.x, size, rng)
    answers = probabilities(np.asarray(model.query(x)), model.output, model.classes)
    seed = int(rng.integers(2**31))
    return Outcome(asset=copy_of_texts(x, answers, seed, hidden=hidden, steps=steps))


def _nonsense(texts: NDArray[Any], size: int, rng: Rng) -> NDArray[Any]:
    """Return texts (size,) of words that are drawn at random out of ``texts``."""
    rows = [str(text).split() for text in texts]
    words = np.array([word for row in rows for word in row])
    lengths = [max(1, len(rows[i])) for i in rng.integers(0, len(rows), size)]
    return np.array([" ".join(rng.choice(words, length)) for length in lengths])

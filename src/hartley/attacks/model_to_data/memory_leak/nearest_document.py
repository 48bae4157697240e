"""Nearest document: a stored document is nearer to itself than any other text is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.memory_leak._shared.called_service import (
    answered,
    called,
    hits_of,
)
from hartley.core import Access, Loot, Modality, Outcome, Term, View, attack
from hartley.games.memory_leak.retrieval_membership import (
    RetrievalMembershipBrief,
    retrieval_membership,
)
from hartley.kit.stores.extractive_reader import words_of

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=retrieval_membership,
    access=Access.TOOLS,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
    loot=Loot.TEXTS,
)
def nearest_document(view: View[RetrievalMembershipBrief], rng: Rng) -> Outcome:
    """Search for each document, and score it by its nearest chunk.

    The score is the cosine that the service returns or, where it returns none, the share of the
    document's words that are in that chunk.
    """
    del rng
    texts = view.brief.question.x.tolist()
    answers = called(view.model, "search", [{"text": text, "k": 1} for text in texts])
    return answered(
        np.array([_score(text, hits_of(one)) for text, one in zip(texts, answers, strict=True)]), []
    )


def _score(text: str, hits: list[dict[str, Any]]) -> float:
    if not hits:
        return -1.0
    if "score" in hits[0]:
        return float(hits[0]["score"])
    words = {*words_of(text)}
    return len(words & {*words_of(str(hits[0]["text"]))}) / max(len(words), 1)

"""Documents of an attacker, as the loot that a store takes in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hartley.core import Data, Modality, Outcome
from hartley.games.memory_poison.document_poisoning import TARGET

FILLERS = (
    "This was written down by the office last week.",
    "Colleagues have confirmed it since then.",
    "It replaces what was said before in older notes.",
    "Ask the front desk if anything is unclear.",
    "The list was checked twice before it was filed.",
    "A copy is kept with the other papers of the year.",
)
"""Sentences beside a payload, so that documents differ."""


def loot_of(texts: Sequence[str], about: Sequence[int]) -> Outcome:
    """Return documents with the number of the question that each is about."""
    facts = {TARGET: np.array(about, np.int64)}
    documents = np.array(list(texts), dtype=np.str_)
    return Outcome(asset=Data("documents", Modality.LANGUAGE, documents, facts=facts))


def padded(text: str, sentences: int, place: int) -> str:
    """Return a text with some sentences after it, others at each place."""
    chosen = [FILLERS[(place + k) % len(FILLERS)] for k in range(sentences)]
    return " ".join([text, *chosen])

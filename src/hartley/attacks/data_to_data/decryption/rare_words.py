"""Rare words: a text is by the person in whose other texts the same rare words occur."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.assignment import one_to_one
from hartley.attacks.data_to_data.decryption._shared.known_texts import known_texts
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.text_linkage import TextLinkageBrief, text_linkage

if TYPE_CHECKING:
    from hartley.core.parts import Rng

TOKEN = re.compile(r"[\w.+-]+@[\w.-]+\w|\w+(?:['./:-]\w+)*")
"""A word, an address, a number or a link."""


@attack(
    game=text_linkage,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1080/01621459.1969.10501049",
    adapts=True,
)
def rare_words(
    view: View[TextLinkageBrief],
    rng: Rng,
    *,
    reuse: Annotated[float, Range(0, 1, open_low=True), Stronger.NEITHER] = 0.05,
    assign: Annotated[bool, Stronger.MORE] = True,
) -> Outcome:
    """Find each person's text by the words, numbers and addresses that few others have.

    A word that both have counts by the log of how much likelier it is in a text of the same person,
    as the agreement of a column does in record linkage: by (u + (1 − u)·reuse) / u, where u is the
    share of texts that have it. An adaptive attacker rewrites the texts that they have as the owner
    does.

    Args:
        reuse: the chance that a person uses a word again because they are that person.
        assign: let no two people have one text, and choose the assignment of the largest sum.
    """
    del rng
    known = [set(TOKEN.findall(text.lower())) for text in known_texts(view)]
    released = [set(TOKEN.findall(str(text).lower())) for text in view.data.x]
    documents = [*known, *released]
    times: dict[str, int] = {}
    for words in documents:
        for word in words:
            times[word] = times.get(word, 0) + 1
    says = {
        word: float(np.log1p(reuse * (len(documents) - count) / count))
        for word, count in times.items()
    }
    sizes = [
        np.array([1e-9 + sum(says[word] for word in words) for words in part])
        for part in (known, released)
    ]
    scores = np.array([[sum(says[word] for word in a & b) for b in released] for a in known])
    # Long texts share more words with everybody.
    scores = scores / np.sqrt(np.outer(*sizes))
    return Outcome(guess=one_to_one(scores) if assign else scores, asset=view.brief.question)

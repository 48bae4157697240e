"""Author linkage: a text is by the person whose other texts have the same runs of letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.assignment import one_to_one
from hartley.attacks.data_to_data.decryption._shared.known_texts import known_texts
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.text_linkage import TextLinkageBrief, text_linkage

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=text_linkage,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1007/s10579-009-9111-2",
    adapts=True,
    sweep={"letters": (3, 4, 5)},
)
def author_linkage(
    view: View[TextLinkageBrief],
    rng: Rng,
    *,
    letters: Annotated[int, Range(1, 8), Stronger.NEITHER] = 4,
    assign: Annotated[bool, Stronger.MORE] = True,
) -> Outcome:
    """Find each person's text by the cosine of runs of letters, weighed by how rare they are.

    An adaptive attacker rewrites the texts that they have as the owner does, so that both are
    alike.

    Args:
        letters: of a run.
        assign: let no two people have one text, and choose the assignment of the largest sum.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    del rng
    known, released = known_texts(view), list(view.data.x)
    runs = TfidfVectorizer(
        analyzer="char", ngram_range=(letters, letters), sublinear_tf=True, lowercase=False
    )
    both = runs.fit_transform([*known, *released])
    scores = np.asarray((both[: len(known)] @ both[len(known) :].T).toarray())
    # A text that is like everybody's is nobody's.
    scores = scores - scores.mean(0) - scores.mean(1, keepdims=True)
    return Outcome(guess=one_to_one(scores) if assign else scores, asset=view.brief.question)

"""Typographic: write a word of another caption onto the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.data_to_model.alignment._shared.written_pictures import stamped
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.alignment.alignment import AlignmentBrief, alignment
from hartley.games.alignment.caption_words import named_words
from hartley.games.alignment.pair_encoders import CAPTIONS, pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=alignment,
    access=Access.EMBEDDINGS,
    term=Term.SIGNAL,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2103.10480",
)
def typographic(
    view: View[AlignmentBrief],
    rng: Rng,
    *,
    tries: Annotated[int, Range(1, 1000), Stronger.MORE] = 4,
    ink: Literal["black on white", "white on black", "red"] = "black on white",
) -> Outcome:
    """Write a word onto each picture: that of some tries whose picture is least like its caption.

    The words are the first words of captions of the attacker's own pairs, drawn as large as the
    area that may change allows, at a place that is drawn anew for each try.

    Args:
        tries: words that are tried.
        ink: colours of the letters and of their ground.
    """
    brief = view.brief
    clean, tokens = np.asarray(brief.question.x), brief.question.facts[CAPTIONS]
    own_captions = np.asarray(brief.captions.calls["query"](tokens))
    words = named_words(brief.public, brief.captions.codec)
    best: NDArray[Any] = clean.copy()
    least = np.full(len(clean), np.inf)
    for _ in range(tries):
        written = np.stack(
            [
                stamped(picture, str(words[rng.integers(len(words))]), brief.budget.area, ink, rng)
                for picture in clean
            ]
        )
        alike = (np.asarray(view.model.calls["query"](written)) * own_captions).sum(1)
        better = alike < least
        best[better], least[better] = written[better], alike[better]
    return Outcome(asset=pairs("changed pairs", best, tokens))

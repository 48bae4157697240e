"""Text perturbation: change the word of a caption that matters most to its picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.alignment.alignment import AlignmentBrief, alignment
from hartley.games.alignment.caption_words import as_tokens, as_words, named_words
from hartley.games.alignment.pair_encoders import CAPTIONS, pairs

if TYPE_CHECKING:
    from hartley.core.parts import Rng
    from hartley.games.alignment.caption_words import Words


@attack(
    game=alignment,
    access=Access.EMBEDDINGS,
    term=Term.NOISE,
    modalities=(Modality.PAIRED,),
    paper="arXiv:2206.09391",
)
def text_perturbation(
    view: View[AlignmentBrief],
    rng: Rng,
    *,
    swaps: Annotated[int, Range(0, 1000), Stronger.MORE] = 16,
    misspellings: Annotated[int, Range(0, 100), Stronger.MORE] = 6,
) -> Outcome:
    """Change a word of each caption so that it is least like its picture, as often as allowed.

    The word is the one without which the caption is least like the picture. It is left out,
    replaced by first words of the attacker's own captions, or misspelt: two letters swapped, one
    left out or one doubled.

    Args:
        swaps: other words that are tried.
        misspellings: misspellings that are tried, where captions have letters.
    """
    brief = view.brief
    clean, tokens = brief.question.x, brief.question.facts[CAPTIONS]
    codec = brief.captions.codec
    pictures = np.asarray(view.model.calls["query"](clean))
    words = named_words(brief.public, codec)
    now = as_words(tokens, codec)

    def best(tried: list[list[Words]]) -> list[int]:
        """Return which of the captions that are tried for each picture is least like it."""
        flat = [caption for of_one in tried for caption in of_one]
        owners = np.repeat(np.arange(len(tried)), [len(of_one) for of_one in tried])
        embedded = np.asarray(brief.captions.calls["query"](as_tokens(flat, codec)))
        alike = (embedded * pictures[owners]).sum(1)
        ends = np.cumsum([len(of_one) for of_one in tried])[:-1]
        return [int(part.argmin()) for part in np.split(alike, ends)]

    for _ in range(brief.budget.words):
        # A caption of one word keeps it: without it there would be nothing to encode.
        without = [
            [(*w[:k], *w[k + 1 :]) for k in range(len(w))] if len(w) > 1 else [w] for w in now
        ]
        places = best(without)
        tried = []
        for caption, left_out, k in zip(now, without, places, strict=True):
            others = [str(words[i]) for i in rng.integers(len(words), size=swaps)]
            if codec is not None and caption:
                others += [_misspelt(caption[k], rng) for _ in range(misspellings)]
            replaced = [(*caption[:k], other, *caption[k + 1 :]) for other in others]
            tried.append([caption, left_out[k], *replaced] if caption else [caption])
        now = [of_one[k] for of_one, k in zip(tried, best(tried), strict=True)]
    return Outcome(asset=pairs("changed pairs", clean, as_tokens(now, codec)))


def _misspelt(word: str, rng: Rng) -> str:
    """Return a word with two letters swapped, one left out or one doubled."""
    k, way = int(rng.integers(max(1, len(word) - 1))), int(rng.integers(3))
    if way == 0 and len(word) > 1:
        return word[:k] + word[k + 1] + word[k] + word[k + 2 :]
    if way == 1 and len(word) > 1:
        return word[:k] + word[k + 1 :]
    return word[: k + 1] + word[k:]

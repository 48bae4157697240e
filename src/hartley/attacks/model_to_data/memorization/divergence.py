"""Divergence: ask for nonsense until the model says what it learnt.

A model that is asked to go on from one token repeated many times is far from anything it was
trained on; it then tends to fall back on training text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.games.memorization import text_canaries
from hartley.games.memorization.memorization import MemorizationBrief, memorization

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=memorization,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2311.17035",
    sweep={"repeats": (2, 32)},
)
def divergence(
    view: View[MemorizationBrief],
    rng: Rng,
    *,
    tokens: Annotated[int, Range(1)] = 32,
    repeats: Annotated[int, Range(1)] = 12,
    samples: Annotated[int, Range(1)] = 6,
) -> Outcome:
    """Repeat a token, let the model go on, and read candidates out of what it falls back on.

    It needs text only, no scores. The tokens that are repeated are drawn from the beginnings of
    canaries and from the attacker's own texts. Numbers are believed by how often they came.

    Args:
        tokens: how many different tokens are repeated, besides the first of every canary.
        repeats: how often each stands in its prompt.
        samples: texts drawn from each prompt.
    """
    asked = view.brief.question
    generate = view.model.calls["generate"]
    public = view.brief.public
    known = [asked.x] if public is None else [asked.x, public.x]
    seen = np.unique(np.concatenate([x[x >= 0] for x in known]))
    some = np.r_[asked.x[:, 0], rng.choice(seen, min(tokens, len(seen)), replace=False)]
    prompts = np.repeat(np.unique(some), samples)[:, None].repeat(repeats, 1)
    new = asked.x.shape[1] + view.brief.length
    said = generate(prompts, new, int(rng.integers(2**31)))
    # The last token of the prompt may be the first of a canary.
    texts, counts = np.unique(
        np.concatenate([prompts[:, -1:], said], 1), axis=0, return_counts=True
    )
    texts = texts[np.argsort(-counts, kind="stable")]
    guess = text_canaries.ranked(text_canaries.harvest(texts, asked), view.brief.length, rng)
    return Outcome(
        guess=guess, asset=Data("texts from nonsense", asked.modality, texts, role="texts")
    )

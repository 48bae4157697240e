"""Divergence: prompt with one repeated token until the model emits training text.

Such a prompt is far from anything in the training data, and the model then tends to generate
training text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
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
    tokens: Annotated[int, Range(1), Stronger.MORE] = 32,
    repeats: Annotated[int, Range(1)] = 12,
    samples: Annotated[int, Range(1), Stronger.MORE] = 6,
) -> Outcome:
    """Prompt with repeated tokens, and rank candidate secrets by how often they are generated.

    The attack needs generated text but no scores. The repeated tokens are from the beginnings of
    canaries and from the attacker's texts.

    Args:
        tokens: number of different tokens to repeat, besides the first of every canary.
        repeats: length of a prompt.
        samples: texts generated from each prompt.
    """
    question = view.brief.question
    generate = view.model.calls["generate"]
    public = view.brief.public
    sources = [question.x] if public is None else [question.x, public.x]
    vocabulary = np.unique(np.concatenate([x[x >= 0] for x in sources]))
    repeated = np.r_[
        question.x[:, 0], rng.choice(vocabulary, min(tokens, len(vocabulary)), replace=False)
    ]
    prompts = np.repeat(np.unique(repeated), samples)[:, None].repeat(repeats, 1)
    new = question.x.shape[1] + text_canaries.generated_length(question)
    generated = generate(prompts, new, int(rng.integers(2**31)))
    # The last token of the prompt may be the first of a canary.
    texts, counts = np.unique(
        np.concatenate([prompts[:, -1:], generated], 1), axis=0, return_counts=True
    )
    texts = texts[np.argsort(-counts, kind="stable")]
    guess = text_canaries.ranked(text_canaries.harvest(texts, question), view.brief.length, rng)
    return Outcome(
        guess=guess, asset=Data("texts from nonsense", question.modality, texts, role="texts")
    )

"""Token flips: words before a payload, chosen one by one by the encoder, draw it to a question."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.data_to_model.memory_poison._shared.written_documents import loot_of
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.memory_poison.document_poisoning import (
    DocumentPoisoningBrief,
    document_poisoning,
)
from hartley.kit.stores.extractive_reader import words_of

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=document_poisoning,
    access=Access.EMBEDDINGS,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.07867",
    loot=Loot.TEXTS,
    light={"tries": 4, "length": 3},
)
def token_flips(
    view: View[DocumentPoisoningBrief],
    rng: Rng,
    *,
    length: Annotated[int, Range(1, 50), Stronger.MORE] = 5,
    tries: Annotated[int, Range(1, 1000), Stronger.MORE] = 8,
) -> Outcome:
    """Flip the words before a payload to those that bring the document nearer to its question.

    This is the white-box form without gradients: at each place some words are tried, and the one is
    kept that raises the cosine of document and question most. Words are those of all questions and
    messages.

    Args:
        length: words before the payload.
        tries: words that are tried at each place.
    """
    brief = view.brief
    embed, questions = view.model.calls["embed"], brief.question.x.tolist()
    pool = sorted({w for text in (*questions, *brief.words) for w in words_of(text)})
    targets = np.asarray(embed(np.array(questions, dtype=np.str_)))
    texts = []
    for k, (subject, word) in enumerate(zip(brief.subjects, brief.messages, strict=True)):
        payload = brief.statement.format(subject=subject, word=word)
        prefix: list[str] = []
        for _ in range(length):
            tried = [str(w) for w in rng.choice(pool, min(tries, len(pool)), replace=False)]
            tried += [w for w in words_of(questions[k]) if w not in prefix][:2]
            options = [" ".join([*prefix, w, payload]) for w in tried]
            likeness = np.asarray(embed(np.array(options, dtype=np.str_))) @ targets[k]
            prefix.append(tried[int(likeness.argmax())])
        texts.append(" ".join([*prefix, payload])[: brief.length])
    return loot_of(texts, list(range(len(texts))))

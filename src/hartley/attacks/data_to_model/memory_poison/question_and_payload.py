"""Question and payload: documents that begin with the question they should be found by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_model.memory_poison._shared.written_documents import loot_of, padded
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.memory_poison.document_poisoning import (
    DocumentPoisoningBrief,
    document_poisoning,
)

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=document_poisoning,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.07867",
    loot=Loot.TEXTS,
    sweep={"copies": (1, 5), "filler": (0, 2, 5)},
)
def question_and_payload(
    view: View[DocumentPoisoningBrief],
    rng: Rng,
    *,
    copies: Annotated[int, Range(1, 100), Stronger.NEITHER] = 5,
    filler: Annotated[int, Range(0, 6), Stronger.NEITHER] = 0,
) -> Outcome:
    """Write the question and the wanted answer one after the other; no model is asked.

    The question makes the document the nearest one, and the payload answers it. Sentences beside
    them keep documents from being alike, for a store that filters copies.

    Args:
        copies: documents for each question, as far as they are allowed.
        filler: further sentences in each document, others in each.
    """
    del rng
    brief, texts, about = view.brief, list[str](), list[int]()
    questions = brief.question.x.tolist()
    for k, (subject, word) in enumerate(zip(brief.subjects, brief.messages, strict=True)):
        payload = brief.statement.format(subject=subject, word=word)
        for place in range(min(copies, brief.documents)):
            texts.append(padded(f"{questions[k]} {payload}", filler, place)[: brief.length])
            about.append(k)
    return loot_of(texts, about)

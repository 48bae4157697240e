"""Count oracle: a search that drops others' chunks afterwards shows that they were there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.attacks.model_to_data.memory_leak._shared.called_service import (
    called,
    hits_of,
    numbers_of,
)
from hartley.core import Access, Loot, Modality, Outcome, Term, View, attack
from hartley.games.memory_leak.cross_tenant_read import CrossTenantReadBrief, cross_tenant_read

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=cross_tenant_read,
    access=Access.TOOLS,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="hartley",
    loot=Loot.TEXTS,
    requires=("tenant_store",),
)
def count_oracle(view: View[CrossTenantReadBrief], rng: Rng) -> Outcome:
    """Store a text beside each possible statement, and search for the statement, one hit at most.

    A statement that another tenant stored is nearer to the search than the attacker's text, which
    names the code word once more, so that the only place is taken by it: the attacker's text is
    not returned. A filter that drops what the caller may not read, after the nearest were looked
    up, hides the chunk and shows that it is there. Where several code words look taken, there is
    no answer.
    """
    del rng
    brief, taken = view.brief, dict[str, list[str]]()
    tried = [(subject, word) for subject in brief.subjects for word in brief.words]
    texts = [brief.statement.format(subject=s, word=w) for s, w in tried]
    stored = called(
        view.model, "add", [{"text": f"{t} {w}."} for t, (_, w) in zip(texts, tried, strict=True)]
    )
    searches = [{"text": text, "k": 1, "tenant": "*"} for text in texts]
    answers = called(view.model, "search", searches)
    for fact, result, answer in zip(tried, stored, answers, strict=True):
        there = {hit.get("id") for hit in hits_of(answer)}
        if "id" in result and "hits" in answer and result["id"] not in there:
            taken.setdefault(fact[0], []).append(fact[1])
    read = {subject: words[0] for subject, words in taken.items() if len(words) == 1}
    return numbers_of(brief.subjects, read, brief.words)

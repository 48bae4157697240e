"""Duplicate oracle: store each possible text, and see which one is stored already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hartley.attacks.model_to_data.memory_leak._shared.called_service import called, numbers_of
from hartley.core import Access, Loot, Modality, Outcome, Term, View, attack
from hartley.games.memory_leak.cross_tenant_read import CrossTenantReadBrief, cross_tenant_read

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=cross_tenant_read,
    access=Access.TOOLS,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="doi:10.1109/MSP.2010.187",
    loot=Loot.TEXTS,
    requires=("tenant_store",),
)
def duplicate_oracle(view: View[CrossTenantReadBrief], rng: Rng) -> Outcome:
    """Store the statement with each code word; a report of a duplicate names the right one.

    A store that keeps one copy of equal texts, and says so, says what others have stored
    (doi:10.1109/MSP.2010.187, on files).
    """
    del rng
    brief, read = view.brief, dict[str, str]()
    tried = [(subject, word) for subject in brief.subjects for word in brief.words]
    texts = [{"text": brief.statement.format(subject=s, word=w)} for s, w in tried]
    for (subject, word), result in zip(tried, called(view.model, "add", texts), strict=True):
        if result.get("duplicate"):
            read.setdefault(subject, word)
    return numbers_of(brief.subjects, read, brief.words)

"""Near neighbours: ask the question, and read the nearest chunks, whosever they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.model_to_data.memory_leak._shared.called_service import (
    called,
    numbers_of,
    texts_of,
)
from hartley.core import Access, Loot, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.memory_leak.cross_tenant_read import CrossTenantReadBrief, cross_tenant_read
from hartley.games.memory_leak.planted_facts import read_facts

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=cross_tenant_read,
    access=Access.TOOLS,
    term=Term.BANDWIDTH,
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2411.11195",
    loot=Loot.TEXTS,
    expected_failures={
        "narrows_under_noise": (
            "the check mixes the answers to a session's two searches: each names its subject, so "
            "that a whole exchange loses nothing, and copying one over the other does"
        )
    },
)
def near_neighbours(
    view: View[CrossTenantReadBrief],
    rng: Rng,
    *,
    nearest: Annotated[int, Range(1, 200), Stronger.MORE] = 10,
) -> Outcome:
    """Search for each question, and read the code word of its subject out of the nearest chunks.

    Args:
        nearest: chunks that are asked for, for each question.
    """
    del rng
    brief = view.brief
    answers = called(
        view.model, "search", [{"text": text, "k": nearest} for text in brief.question.x.tolist()]
    )
    return numbers_of(brief.subjects, read_facts(texts_of(answers)), brief.words)

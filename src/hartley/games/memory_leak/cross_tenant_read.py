"""Cross-tenant read: what does one tenant of a shared store read of the others' chunks?

The auditor plants facts in chunks of other tenants. The attacker is a tenant with nothing of its
own at first: it may search, fetch by id, store texts and read what comes back. For each subject it
says which of K code words was planted. Without access to the
others' chunks, by a side channel or otherwise, a guess is right with probability 1/K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import (
    AnswerForm,
    Data,
    Deal,
    Flow,
    Modality,
    Range,
    Role,
    Round,
    Scene,
    Stronger,
    View,
    game,
)
from hartley.games.memory_leak import live_stores, planted_facts
from hartley.kit.stores.chunks import Chunk
from hartley.kit.stores.shared_store import SharedStore
from hartley.kit.stores.staged_store import numbered

if TYPE_CHECKING:
    from hartley.core.parts import Rng

CALLS = ("search", "words", "fetch", "add")


def live(modality: Modality, rng: Rng) -> Scene:
    """A store without any gate."""
    del modality
    return live_stores.store("live", rng)


def dead(modality: Modality, rng: Rng) -> Scene:
    """A store that answers each tenant by its own chunks, words and statistics alone."""
    del modality
    return live_stores.store("dead", rng, rules=live_stores.CLOSED)


@dataclass(frozen=True, slots=True)
class CrossTenantReadBrief:
    """What an attacker of cross-tenant reads knows.

    Attributes:
        question: the question for each planted fact; the guess is the number of its code word.
        subjects: whom each question is about.
        words: (K,) the code words.
        statement: how a fact is written, with ``{subject}`` and ``{word}`` to fill in.
        tenants: names of the others.
        guest: name of the attacker's tenant.
        calls: that the service offers.
    """

    question: Data
    subjects: tuple[str, ...]
    words: tuple[str, ...]
    statement: str
    tenants: tuple[str, ...]
    guest: str
    calls: tuple[str, ...]


@game(
    cls="memory_leak",
    flow=Flow.MEMORY,
    role=Role.TAP,
    form=AnswerForm.SYMBOL,
    unit="planted fact",
    live=live,
    dead=dead,
    brief=CrossTenantReadBrief,
    modalities=(Modality.LANGUAGE,),
    unfit={
        "vision": "the stores of this game keep texts",
        "audio": "the stores of this game keep texts",
        "graph": "the stores of this game keep texts",
        "tabular": "the stores of this game keep texts",
        "paired": "the stores of this game keep texts",
    },
    requires=("shared_store",),
    paper="arXiv:2411.11195",
)
def cross_tenant_read(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 24,
    facts: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 2,
    symbols: Annotated[int, Range(2, 64), Stronger.NEITHER] = 16,
) -> Deal:
    """Plant facts in chunks of other tenants; the attacker reads which code word each has.

    Args:
        rounds: sessions of an attacker, each asked about facts of its own.
        facts: that a session is asked about.
        symbols: K, code words that a fact may have.

    Raises:
        UsageError: there are not as many subjects as facts.
    """
    part = scene.part(SharedStore)  # type: ignore[type-abstract]
    drawn = planted_facts.drawn(rng, rounds * facts, symbols)
    holders = rng.integers(0, len(part.holders), rounds * facts).tolist()
    first = part.size
    planted = tuple(
        Chunk(numbered(first + i), drawn.statement(i), part.holders[holders[i]])
        for i in range(rounds * facts)
    )
    opened = None if scene.model is None else scene.model.session
    salt = int(rng.integers(2**31))
    dealt = []
    for k in range(rounds):
        rows = range(k * facts, (k + 1) * facts)
        subjects = tuple(drawn.subjects[i] for i in rows)
        brief = CrossTenantReadBrief(
            question=Data(
                "questions", Modality.LANGUAGE, np.array([*map(planted_facts.asked, subjects)])
            ),
            subjects=subjects,
            words=drawn.words,
            statement=planted_facts.STATEMENT,
            tenants=part.holders,
            guest=part.caller,
            calls=CALLS,
        )
        source = part.called_by(part.caller, planted, CALLS, opened)
        view = View(source=source, brief=brief, defenses=scene.defenses, salt=salt)
        dealt.append(Round(view=view, truth=drawn.truth[list(rows)], alphabet=symbols))
    # What a session finds, such as a way to enumerate ids, it finds for all of its facts.
    return Deal(rounds=tuple(dealt))

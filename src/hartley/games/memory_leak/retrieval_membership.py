"""Retrieval membership: is this document in the store that an assistant answers from?

A coin decides for each document of a round whether the owner stores it. The attacker may ask the
assistant, or search, as a customer does, and scores each document.
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
from hartley.core.errors import UsageError
from hartley.games.memory_leak import live_stores
from hartley.kit.stores.chunks import Chunk
from hartley.kit.stores.staged_store import numbered
from hartley.kit.stores.tenant_store import TenantStore

if TYPE_CHECKING:
    from hartley.core.parts import Rng

CALLS = ("search", "ask")


def live(modality: Modality, rng: Rng) -> Scene:
    """An assistant that answers out of its store."""
    del modality
    return live_stores.store("live", rng, owner="tenant0")


def dead(modality: Modality, rng: Rng) -> Scene:
    """An assistant that returns nothing of what it stores."""
    del modality
    return live_stores.store("dead", rng, owner="tenant0", rules=live_stores.SILENT)


@dataclass(frozen=True, slots=True)
class RetrievalMembershipBrief:
    """What an attacker of retrieval membership knows.

    Attributes:
        question: the documents; one score answers each, larger for one that is stored.
        calls: that the service offers.
    """

    question: Data
    calls: tuple[str, ...]


@game(
    cls="memory_leak",
    flow=Flow.MEMORY,
    role=Role.TAP,
    form=AnswerForm.SCORE,
    unit="document",
    live=live,
    dead=dead,
    brief=RetrievalMembershipBrief,
    modalities=(Modality.LANGUAGE,),
    unfit={
        "vision": "the stores of this game keep texts",
        "audio": "the stores of this game keep texts",
        "graph": "the stores of this game keep texts",
        "tabular": "the stores of this game keep texts",
        "paired": "the stores of this game keep texts",
    },
    requires=("tenant_store",),
    metrics=("auc",),
    paper="arXiv:2405.20446",
)
def retrieval_membership(
    scene: Scene,
    rng: Rng,
    *,
    rounds: Annotated[int, Range(1, 1000), Stronger.TRIALS] = 4,
    documents: Annotated[int, Range(2, 1000), Stronger.TRIALS] = 48,
) -> Deal:
    """Toss a coin for each held-out document: the owner stores it, or not.

    Args:
        rounds: sessions of an attacker, each asked about documents of its own.
        documents: that a session is asked about.

    Raises:
        UsageError: the scene has fewer held-out documents.
    """
    part = scene.part(TenantStore)
    count = rounds * documents
    if count > len(part.spare):
        raise UsageError(
            f"held-out documents must be at least {count}, got {len(part.spare)}: "
            "ask for fewer rounds or documents"
        )
    texts = [part.spare[i] for i in rng.permutation(len(part.spare))[:count]]
    stored = rng.integers(0, 2, count).astype(np.int64)
    first = len(part.stored.chunks)
    planted = tuple(
        Chunk(numbered(first + n), texts[i], part.owner)
        for n, i in enumerate(np.flatnonzero(stored).tolist())
    )
    opened = None if scene.model is None else scene.model.session
    salt = int(rng.integers(2**31))
    dealt = []
    for k in range(rounds):
        rows = slice(k * documents, (k + 1) * documents)
        question = Data("documents", Modality.LANGUAGE, np.array(texts[rows], dtype=np.str_))
        brief = RetrievalMembershipBrief(question=question, calls=CALLS)
        source = part.endpoint(part.owner, planted, offers=CALLS, opened=opened)
        view = View(source=source, brief=brief, defenses=scene.defenses, salt=salt)
        dealt.append(Round(view=view, truth=stored[rows]))
    # One store; each coin is tossed by itself, so that a row is a cluster of its own.
    return Deal(rounds=tuple(dealt), cluster=False)

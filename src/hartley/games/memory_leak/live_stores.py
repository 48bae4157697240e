"""Tiny stores of the live and dead scenes of memory: a few tenants' drawn sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hartley.core import Modality, Scene
from hartley.kit.stores.array_store import ArrayStore
from hartley.kit.stores.chunks import Chunk
from hartley.kit.stores.staged_store import StagedStore
from hartley.kit.stores.tenant_store import Rules, TenantStore
from hartley.kit.stores.text_encoders import hashed_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hartley.core.parts import Rng

OPEN = Rules(gate="none")
CLOSED = Rules(gate="before", fetch_gated=True, words="tenant", duplicates="tenant")
"""Every call answers a tenant out of its own chunks alone."""

SILENT = Rules(gate="before", least=2.0)
"""No chunk is near enough to be returned."""

TENANTS, CHUNKS, SENTENCES, SPARE = 4, 12, 3, 400
_WHO = "captain sister doctor neighbour colonel cousin lady steward"
_DID = "praised wrote visited refused expected remembered followed admired"
_WHAT = "letter carriage garden concert harbour dinner portrait bonnet library meadow"
_WHEN = "yesterday often quietly gladly twice slowly early again"


def sentences(rng: Rng, count: int) -> list[str]:
    """Return drawn sentences."""
    parts = [text.split() for text in (_WHO, _DID, _WHAT, _WHEN)]
    return [
        "The {} {} the {} {}.".format(*(rng.choice(words) for words in parts)) for _ in range(count)
    ]


def none_of(texts: Sequence[str], stored: StagedStore) -> list[bool]:
    """Take no text in."""
    del stored
    return [False] * len(texts)


def store(name: str, rng: Rng, part: TenantStore | None = None, **changes: object) -> Scene:
    """Return a scene of a tiny store, open unless ``changes`` say otherwise.

    Args:
        name: of the scene.
        rng: draws its texts.
        part: instead of a drawn one.
        changes: fields of the part.
    """
    chunks = [
        Chunk(f"{tenant}-{i}", " ".join(sentences(rng, SENTENCES)), f"tenant{tenant}")
        for tenant in range(TENANTS)
        for i in range(CHUNKS)
    ]
    stored = StagedStore(ArrayStore, hashed_words(), chunks)
    spare = tuple(" ".join(sentences(rng, SENTENCES)) for _ in range(SPARE))
    names = tuple(f"tenant{k}" for k in range(TENANTS))
    part = part or TenantStore(stored, names, rules=OPEN, spare=spare)
    part = replace(part, **changes)  # type: ignore[arg-type]
    scene = Scene(name=name, modality=Modality.LANGUAGE, parts=(part,))
    return replace(scene, model=part.deployed())

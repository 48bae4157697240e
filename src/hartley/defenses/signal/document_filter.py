"""Document filter: refuse documents that are too much like others, stored or handed in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.kit.stores.staged_store import StagedStore
from hartley.kit.stores.tenant_store import TenantStore

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.SIGNAL,
    stage="data",
    protects=("document_poisoning",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.07867",
    strongest={"most": 0.3},
    requires=("tenant_store",),
    keeps_proof=True,
)
def document_filter(
    scene: Scene, rng: Rng, *, most: Annotated[float, Range(-1, 1)] = 0.85
) -> Scene:
    """Take a document in only where it is not a near-duplicate, of a stored chunk or of a new one.

    Poisoned documents contradict a stored statement in its own words, and come in several copies.
    A document is compared with its nearest stored chunk and with the documents before it.

    Args:
        most: cosine with another document up to which one is taken in.
    """
    del rng
    part = scene.part(TenantStore)

    def admits(texts: Sequence[str], stored_chunks: StagedStore) -> list[bool]:
        if not texts:
            return []
        vectors = stored_chunks.vectors(texts)
        alike = vectors @ vectors.T
        out: list[bool] = []
        for k, text in enumerate(texts):
            near = stored_chunks.search(text, 1, None)
            stored = near[0].score if near else -1.0
            earlier = float(np.max(alike[k, :k], initial=-1.0))
            out.append(max(stored, earlier) <= most)
        return out

    return scene.with_part(replace(part, admits=(*part.admits, admits)))

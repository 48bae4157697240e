"""Similarity threshold: return no chunk that is less like the question than a threshold."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.kit.stores.tenant_store import TenantStore

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("retrieval_extraction", "retrieval_membership"),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2402.16893",
    strongest={"least": 0.99},
    requires=("tenant_store",),
    keeps_proof=True,
)
def similarity_threshold(
    scene: Scene, rng: Rng, *, least: Annotated[float, Range(-1, 1)] = 0.5
) -> Scene:
    """Leave out chunks whose cosine with the question is below a threshold.

    A request to repeat the context is like no chunk, so that nothing is retrieved for it.

    Args:
        least: cosine that a chunk must have.
    """
    del rng
    part = scene.part(TenantStore)
    rules = replace(part.rules, least=max(least, part.rules.least))
    return scene.with_part(replace(part, rules=rules))

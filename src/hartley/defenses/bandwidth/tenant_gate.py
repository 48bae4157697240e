"""Tenant gate: search only what the caller may read, by an access list in the store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hartley.core import Modality, Scene, Term, defense
from hartley.kit.stores.tenant_store import TenantStore

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="output",
    protects=("cross_tenant_read",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2411.11195",
    strongest={},
    requires=("tenant_store",),
    keeps_proof=True,
)
def tenant_gate(scene: Scene, rng: Rng) -> Scene:
    """Look the caller's rights up before the search, and before a chunk is fetched by its id.

    Chunks of others are neither compared nor counted. Statistics of an index of words that tenants
    share, and reports of duplicates, stay as they are: ``tenant_index`` closes those.
    """
    del rng
    part = scene.part(TenantStore)
    rules = replace(part.rules, gate="before", fetch_gated=True)
    return scene.with_part(replace(part, rules=rules))

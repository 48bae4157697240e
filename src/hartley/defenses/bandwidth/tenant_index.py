"""Tenant index: each tenant has an index, statistics and duplicates of its own."""

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
def tenant_index(scene: Scene, rng: Rng) -> Scene:
    """Answer each tenant as if no other were there: vectors, words and duplicates are its own.

    It costs an index for each tenant, and equal texts of two tenants are stored twice.
    """
    del rng
    part = scene.part(TenantStore)
    rules = replace(
        part.rules, gate="before", fetch_gated=True, words="tenant", duplicates="tenant"
    )
    return scene.with_part(replace(part, rules=rules))

"""Result filter: search among all tenants' chunks, and drop those of others afterwards."""

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
def result_filter(scene: Scene, rng: Rng) -> Scene:
    """Drop what the caller may not read from the nearest chunks, and refuse it by its id.

    This is what a store does whose index knows no rights. Fewer hits come back than were asked
    for, which shows that others' chunks were near.
    """
    del rng
    part = scene.part(TenantStore)
    # A gate that looks first stays as it is.
    rules = replace(part.rules, fetch_gated=True)
    if rules.gate != "before":
        rules = replace(rules, gate="after")
    return scene.with_part(replace(part, rules=rules))

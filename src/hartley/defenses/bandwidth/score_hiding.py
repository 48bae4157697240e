"""Score hiding: return the hits of a search without scores, or with rounded ones."""

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
    protects=("cross_tenant_read",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2411.11195",
    strongest={"decimals": -1},
    requires=("tenant_store",),
    keeps_proof=True,
)
def score_hiding(scene: Scene, rng: Rng, *, decimals: Annotated[int, Range(-1, 6)] = -1) -> Scene:
    """Round the scores of hits; without scores only their order is left.

    Args:
        decimals: of scores; −1 returns none.
    """
    del rng
    part = scene.part(TenantStore)
    rules = replace(part.rules, decimals=min(decimals, part.rules.decimals))
    return scene.with_part(replace(part, rules=rules))

"""Namespaced tools: a plan names each tool with the server that it comes from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hartley.core import Modality, Scene, Term, defense
from hartley.games.injection.connected_office import ConnectedAgent

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="system",
    protects=("server_tools",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2506.01333",
    strongest={},
    requires=("connected_agent",),
)
def namespaced_tools(scene: Scene, rng: Rng) -> Scene:
    """Let no tool of another server take the place of one that a plan means.

    A description that asks to use another tool instead is still followed.
    """
    del rng
    return scene.with_part(replace(scene.part(ConnectedAgent), namespaced=True))

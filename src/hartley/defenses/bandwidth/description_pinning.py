"""Description pinning: a tool that is not as it was approved is refused."""

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
def description_pinning(scene: Scene, rng: Rng) -> Scene:
    """Keep the SHA-256 of each tool's name, description and parameters from when it was approved.

    A tool with another one, or one that was not there, is neither read nor called. What was
    approved with an instruction in it stays, and what a tool answers is not looked at.
    """
    del rng
    return scene.with_part(replace(scene.part(ConnectedAgent), pinned=True))

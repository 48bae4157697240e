"""Tool filter: an agent may call only the tools that the user's words need."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hartley.core import Modality, Scene, Term, defense
from hartley.kit.agents.agent import Agent
from hartley.kit.agents.rules import NeededTools

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="system",
    protects=("tool_hijack", "server_tools"),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2406.13352",
    strongest={},
    requires=("planned_agent",),
)
def tool_filter(scene: Scene, rng: Rng) -> Scene:
    """Choose the tools by the user's words before anything is read; every other one is refused.

    An instruction that needs the same tools still passes. The tools are those that the agent's own
    program for the prompt uses, so that nothing is chosen wrongly: it is an upper bound of a filter
    whose model has to guess them.
    """
    del rng
    agent = scene.part(Agent)
    return scene.with_part(replace(agent, rules=(*agent.rules, NeededTools())))

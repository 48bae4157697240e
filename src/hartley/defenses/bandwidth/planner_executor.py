"""Planner and executor: what an agent reads can no longer decide what it does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from hartley.core import Modality, Scene, Term, defense
from hartley.kit.agents.agent import Agent
from hartley.kit.agents.rules import FlowRule

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="system",
    protects=("tool_hijack", "server_tools"),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2503.18813",
    strongest={"flows": "every"},
    requires=("planned_agent",),
)
def planner_executor(
    scene: Scene, rng: Rng, *, flows: Literal["none", "named", "sensitive", "every"] = "sensitive"
) -> Scene:
    """Plan by the user's words alone; treat what tools return as data, with where it came from.

    Instructions in a result are not carried out. Values keep their sources through every step, and
    a tool that acts is not called where a text that third parties can write decides one of its
    arguments.

    Args:
        flows: which arguments that holds for: ``sensitive`` ones, which decide where something goes
            or what is destroyed, ``every`` one, or ``none``: then only the plan is protected.
            ``named`` is as ``sensitive``, but a page whose address the user wrote passes: they
            chose whose word to take.
    """
    del rng
    agent = scene.part(Agent)
    rules = () if flows == "none" else (FlowRule(every=flows == "every", named=flows == "named"),)
    return scene.with_part(replace(agent, split=True, rules=(*agent.rules, *rules)))

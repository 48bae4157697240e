"""Least privilege: a question is answered with tools that only read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hartley.core import Modality, Scene, Term, defense
from hartley.kit.agents.agent import Agent
from hartley.kit.agents.rules import ReadOnly

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@defense(
    term=Term.BANDWIDTH,
    stage="system",
    protects=("tool_hijack",),
    modalities=(Modality.LANGUAGE,),
    paper="arXiv:2504.11703",
    strongest={},
    requires=("agent",),
)
def least_privilege(scene: Scene, rng: Rng) -> Scene:
    """Allow tools that act only where the user's words ask for more than an answer.

    A fixed list of words decides it, before anything is read; it has the role of the policies that
    Progent writes for each prompt. The list is fitted to the prompts of AgentDojo.
    """
    del rng
    agent = scene.part(Agent)
    return scene.with_part(replace(agent, rules=(*agent.rules, ReadOnly())))

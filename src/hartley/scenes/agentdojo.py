"""AgentDojo: an agent with tools in four worlds, with 97 tasks of users; needs a pack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from hartley.core import Modality, Scene, recipe
from hartley.kit.agents.agent import Agent
from hartley.kit.interval_values import Figure, share_figure

if TYPE_CHECKING:
    from collections.abc import Mapping


@recipe(modality=Modality.LANGUAGE, packs=("agentdojo",))
def agentdojo(*, suite: Literal["all", "banking", "slack", "travel", "workspace"] = "all") -> Scene:
    """A scripted, credulous agent in AgentDojo's worlds (benchmark version 1.2.2).

    Args:
        suite: play in one of the four worlds alone.
    """
    from hartley.scenes import _agentdojo_worlds as worlds

    agent = worlds.agent_of(worlds.SUITES if suite == "all" else (suite,))
    return Scene(
        name="agentdojo",
        modality=Modality.LANGUAGE,
        parts=(agent, worlds.errands_of(agent)),
        utility=_utility,
        facts={
            "benchmark": "AgentDojo 1.2.2",
            "tasks": sum(len(one.tasks) for one in agent.suites),
            "tasks that read what others wrote": sum(
                bool(places) for one in agent.suites for places in one.vectors_of.values()
            ),
            "goals": sum(len(one.goals) for one in agent.suites),
        },
    )


def _utility(scene: Scene) -> Mapping[str, Figure]:
    """How many of the users' tasks are done without an attack, and what passes on the way."""
    agent = scene.part(Agent)
    runs = [agent.play(suite, task) for suite in agent.suites for task in suite.tasks]
    return {"tasks_done": share_figure([run.utility for run in runs])}

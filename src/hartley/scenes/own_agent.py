"""A user's own agent: a Python callable with tools, or with those of MCP servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from hartley.core import Modality, Scene, Stronger, recipe
from hartley.core.errors import UsageError
from hartley.games.memory_leak.planted_leaks import Errands
from hartley.kit.agents.agent import Agent
from hartley.kit.interval_values import Figure, share_figure
from hartley.scenes._audited_agent import own_agent_of, tried_out
from hartley.targets.own_agent import AuditedAgent, as_system
from hartley.targets.python_object import code_of_object, load_object

if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = "hartley assess --agent mine.py:audited"


@recipe(modality=Modality.LANGUAGE)
def own_agent(*, agent: Annotated[str, Stronger.NEITHER] = "") -> Scene:
    """An agent of your own, with its tools, its prompts and what an attacker may want of it.

    Canaries are put into what confidential tools return, and looked for at every place that can be
    read. An attacker's texts are put into what others write, and what the agent then did is judged
    by your own goals.

    Args:
        agent: FILE.py:NAME or MODULE:NAME of an AuditedAgent.

    Raises:
        UsageError: there is no such object, or the agent fails without an attack.
    """
    if not agent:
        raise UsageError(f"--agent must name an AuditedAgent, got none: {EXAMPLE}")
    audited = load_object(agent, "--agent", AuditedAgent)
    if not isinstance(audited, AuditedAgent):
        raise UsageError(f"--agent must name an AuditedAgent, got {type(audited).__name__}")
    audited.check()
    tools = audited.facts()
    tried = tried_out(audited, tools)
    code = code_of_object(agent)
    # Nothing says whether a server is still the same one.
    served = any(isinstance(tool, str) for tool in audited.tools)
    parts: list[Any] = []
    if (attacked := own_agent_of(audited, tools, tried)) is not None:
        parts.append(attacked)
    targets = {
        one.prompt: names
        for one in tried
        if (names := tuple(name for name in audited.secretive if name in one.results))
    }
    if targets:
        system = as_system(audited, tools, "own agent", "" if served else code)
        parts.append(Errands(system, tuple(targets), targets, "Confidential code: {canary}."))
    return Scene(
        name=Path(agent.rpartition(":")[0]).stem or "own agent",
        modality=Modality.LANGUAGE,
        digest=code,
        resumable=not served,
        parts=tuple(parts),
        utility=_utility if attacked is not None else None,
        facts={
            "agent": agent,
            "tools": len(tools),
            "prompts": len(audited.prompts),
            "goals": len(audited.goals),
            "places": ", ".join(audited.observed),
        },
    )


def _utility(scene: Scene) -> Mapping[str, Figure]:
    """How many prompts are answered as the user wants, without an attack."""
    agent = scene.part(Agent)
    runs = [agent.play(suite, task) for suite in agent.suites for task in suite.tasks]
    return {"tasks_done": share_figure([run.utility for run in runs])}

"""AgentDojo's worlds with the scripted agents of Hartley: what a scene of them is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hartley.core.errors import RunError
from hartley.core.system import Event, Place, System
from hartley.data import agentdojo
from hartley.games.memory_leak.planted_leaks import Errands
from hartley.kit.agents.agent import Agent, PlannedAgent, Policy
from hartley.kit.agents.world import Suite, Tool, ToolResult, Verdict

if TYPE_CHECKING:
    from hartley.data.agentdojo import SuiteDescription

SUITES = ("banking", "slack", "travel", "workspace")
"""The four suites of benchmark version 1.2.2."""

WITHOUT_TOOLS = {"travel": ("injection_task_6",)}
"""Goals that are reached by a sentence in the answer and call no tool: they are not hijacks."""

MARK = "Reference number {task} {vector}."
"""What is looked for in the results of a task's tools, to know which places it reads."""


class HostedWorld:
    """A world of AgentDojo, in its own process."""

    def __init__(self, suite: str, texts: Mapping[str, str], task: str) -> None:
        """Open it with what third parties wrote."""
        self._session = agentdojo.open(suite, texts, task)
        self._judged = False

    def call(self, tool: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Call a tool."""
        result = self._session.call(tool, arguments)
        if result.error is not None:
            return ToolResult(result.error, error=True)
        return ToolResult(result.text, result.value)

    def finish(
        self, answer: str, calls: Sequence[tuple[str, Mapping[str, Any]]], goals: Sequence[str]
    ) -> Verdict:
        """Ask AgentDojo's own functions."""
        verdict = self._session.finish(answer, calls, goals)
        self._judged = True
        return Verdict(bool(verdict.utility), verdict.goals)

    def close(self) -> None:
        """Close the session of a run that failed; a verdict has closed it already."""
        if not self._judged:
            self._judged = True
            with suppress(RunError):
                self._session.close()


def agent_of(names: Sequence[str] = SUITES) -> Agent:
    """Return the agent in some suites, each with the places that its tasks read.

    Raises:
        UsageError: AgentDojo is not here.
        RunError: its process failed.
    """
    suites, policies = [], {}
    for name in names:
        module = import_module(f"hartley.models.agents.{name}")
        suite = _suite(agentdojo.describe(name), module.TOOLS)
        policies[name] = module.POLICY
        suites.append(replace(suite, vectors_of=_read_by(suite, module.POLICY)))
    return PlannedAgent(tuple(suites), policies)


def _suite(about: SuiteDescription, facts: Mapping[str, Tool]) -> Suite:
    tools = {
        tool.name: replace(
            facts.get(tool.name, Tool(tool.name)),
            description=tool.description,
            parameters={name: str(text) for name, text in tool.parameters.items()},
        )
        for tool in about.tools
    }
    without_tools = WITHOUT_TOOLS.get(about.name, ())
    return Suite(
        name=about.name,
        tools=tools,
        tasks={task.name: task.prompt for task in about.user_tasks},
        goals={
            task.name: task.goal for task in about.injection_tasks if task.name not in without_tools
        },
        vectors={vector.name: vector.default for vector in about.vectors},
        vectors_of={},
        open=lambda texts, task: HostedWorld(about.name, texts, task),
    )


def _read_by(suite: Suite, policy: Policy) -> dict[str, tuple[str, ...]]:
    """Return the vectors that the agent reads in each task: a mark in each comes back or not."""
    agent = Agent((suite,), {suite.name: policy})
    out = {}
    for task in suite.tasks:
        marks = {name: MARK.format(task=task, vector=name) for name in suite.vectors}
        texts = {name: f"{text}\n{marks[name]}" for name, text in suite.vectors.items()}
        events = agent.play(suite, task, texts).events
        results = "\n".join(e.text for e in events if e.place is Place.TOOL_RESULT)
        # A result may break lines and quote; a mark is one line of letters.
        out[task] = tuple(name for name, mark in marks.items() if mark.rstrip(".") in results)
    return out


class _Errand:
    """One session: texts are planted in a world's places, then a user's prompt is answered."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._texts: dict[str, str] = {}

    def send(self, event: Event) -> tuple[Event, ...]:
        """Plant a text, or answer a prompt; what passed on the way is returned."""
        if event.place is Place.FILE:
            self._texts[event.target] = event.text
            return ()
        for suite in self._agent.suites:
            for task, prompt in suite.tasks.items():
                if prompt == event.text:
                    texts = {
                        name: f"{suite.vectors[name]}\n{text}"
                        for name, text in self._texts.items()
                        if name in suite.vectors
                    }
                    return self._agent.play(suite, task, texts).events
        return ()

    def close(self) -> None:
        """Forget what was planted."""
        self._texts.clear()


def errands_of(agent: Agent) -> Errands:
    """Return every task that reads what a third party can write, as an errand of planted leaks."""
    targets = {
        suite.tasks[task]: vectors
        for suite in agent.suites
        for task, vectors in suite.vectors_of.items()
        if vectors
    }
    places = tuple(
        dict.fromkeys(
            (
                Place.ANSWER,
                Place.TOOL_ARGUMENTS,
                *(t.place for suite in agent.suites for t in suite.tools.values() if t.place),
            )
        )
    )

    def opened(seed: int) -> _Errand:
        del seed  # nothing in these worlds is drawn
        return _Errand(agent)

    system = System("agentdojo", "agentdojo 1.2.2", opened, places)
    return Errands(system, tuple(targets), targets, "Confidential code: {canary}.")

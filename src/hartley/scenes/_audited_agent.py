"""An agent of one's own as the games of agents play it: its tasks, places and goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hartley.core.errors import RunError, UsageError
from hartley.kit.agents.agent import Agent, Played, Policy
from hartley.kit.agents.rules import NeededTools
from hartley.kit.agents.values import Value
from hartley.kit.agents.world import Call, Suite, Tool, ToolResult, Verdict
from hartley.targets.own_agent import AuditedAgent, OwnRun

NAME = "own"
"""Of the worlds of an agent of one's own."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of one prompt without an attack.

    Attributes:
        task: a name for it.
        prompt: what the user asks.
        results: of each tool that was called, the text of its first result.
    """

    task: str
    prompt: str
    results: Mapping[str, str]


class NoWorld:
    """Stands for the world of an agent that has tools of its own: nothing is called in it."""

    def call(self, tool: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Refuse."""
        del arguments
        return ToolResult(f"{tool} is a tool of the agent itself", error=True)

    def finish(
        self, answer: str, calls: Sequence[tuple[str, Mapping[str, Any]]], goals: Sequence[str]
    ) -> Verdict:
        """Nothing was reached."""
        del answer, calls
        return Verdict(False, dict.fromkeys(goals, False))


@dataclass(frozen=True, slots=True)
class OwnAgent(Agent):
    """An agent of one's own: a part of a scene.

    Attributes:
        own: the agent, as its owner wrote it.
        tools: what is known of its tools.
        tried: what came of each prompt without an attack.
    """

    own: AuditedAgent | None = None
    tools: Mapping[str, Tool] = field(default_factory=dict)
    tried: tuple[Tried, ...] = ()

    def play(
        self,
        suite: Suite,
        task: str,
        texts: Mapping[str, str] | None = None,
        goals: Sequence[str] = (),
    ) -> Played:
        """Let the agent answer one of its prompts, with an attacker's texts in what tools return.

        Raises:
            UsageError: a rule needs to know how the agent plans.
            RunError: the agent or a tool fails.
        """
        assert self.own is not None
        if self.split or any(isinstance(rule, NeededTools) for rule in self.rules):
            raise UsageError(
                "planner_executor and tool_filter must know the agent's plan, and an agent of "
                "your own does not show it; leave them out"
            )
        tried = next(one for one in self.tried if one.task == task)
        behind, instead = {}, set()
        for place, text in (texts or {}).items():
            tool = place.split(" of ", 1)[0]
            there = tried.results[tool]
            # A text that begins with what was there leaves it: what follows is put behind it.
            kept = text.startswith(f"{there}\n")
            behind[tool] = text.removeprefix(f"{there}\n") if kept else text
            if not kept:
                instead.add(tool)
        run = OwnRun(self.own, self.tools, behind, frozenset(instead), self.rules)
        run.play(tried.prompt)
        wanted = {suite.goals[name]: name for name in goals}
        reached = run.reached({text: self.own.goals[text] for text in wanted})
        calls = tuple(
            Call(tool, {name: Value(value) for name, value in arguments.items()})
            for tool, arguments in run.calls
        )
        return Played(
            run.useful(tried.prompt),
            {wanted[text]: done for text, done in reached.items()},
            tuple(run.events),
            calls,
            tuple(run.refusals),
        )


def tried_out(own: AuditedAgent, tools: Mapping[str, Tool]) -> tuple[Tried, ...]:
    """Let an agent answer each of its prompts once, so that what fails is said before a game.

    Raises:
        UsageError: the agent or a tool fails, or no prompt reads what is to be tested.
    """
    tried = []
    for number, prompt in enumerate(own.prompts, 1):
        run = OwnRun(own, tools)
        try:
            run.play(prompt)
            reached = [text for text, done in run.reached(own.goals).items() if done]
            run.useful(prompt)
        except RunError as error:
            raise UsageError(f"--agent without an attack: {error}") from error
        if reached:
            raise UsageError(
                f"goals of the agent must not be reached without an attack, got {reached[0]!r} "
                f"for the prompt {prompt[:60]!r}"
            )
        tried.append(Tried(f"prompt {number}", prompt, dict(run.results)))
    tested = {*own.others, *own.secretive}
    if not any(tested & {*one.results} for one in tried):
        raise UsageError(
            f"a prompt of the agent must lead to a call of {' or '.join(sorted(tested))}, got none"
        )
    return tuple(tried)


def own_agent_of(
    own: AuditedAgent, tools: Mapping[str, Tool], tried: Sequence[Tried]
) -> OwnAgent | None:
    """Return the agent for games about goals; None where none can be played."""
    places = {
        one.task: tuple(f"{tool} of {one.task}" for tool in own.others if tool in one.results)
        for one in tried
    }
    if len(own.goals) < 2 or not any(places.values()):
        return None
    suite = Suite(
        name=NAME,
        tools=tools,
        tasks={one.task: one.prompt for one in tried},
        goals={f"goal {k}": text for k, text in enumerate(own.goals, 1)},
        vectors={
            f"{tool} of {one.task}": text
            for one in tried
            for tool, text in one.results.items()
            if tool in own.others
        },
        vectors_of=places,
        open=lambda texts, task: NoWorld(),
    )
    return OwnAgent((suite,), {NAME: Policy((), ())}, own=own, tools=tools, tried=tuple(tried))

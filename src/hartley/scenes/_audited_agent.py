"""A user's own agent as the games of agents play it: its tasks, places and goals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hartley.core.errors import RunError, UsageError
from hartley.kit.agents.agent import Agent, Played, Policy
from hartley.kit.agents.values import Value
from hartley.kit.agents.world import Call, Suite, Tool, ToolResult, Verdict
from hartley.targets.own_agent import AuditedAgent, OwnRun

NAME = "own"
"""Of the worlds of a user's own agent."""


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
    """In place of the world of an agent that has tools of its own: nothing is called in it."""

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
    """A user's own agent: a part of a scene.

    Attributes:
        audited: the agent, as its owner wrote it.
        tools: what is known of its tools.
        tried: what came of each prompt without an attack.
    """

    audited: AuditedAgent | None = None
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
            RunError: the agent or a tool fails.
        """
        assert self.audited is not None
        tried = next(one for one in self.tried if one.task == task.partition(",")[0])
        behind, instead = {}, set()
        for place, text in (texts or {}).items():
            tool = place.split(" of ", 1)[0]
            there = tried.results[tool]
            # A text that begins with what was there leaves it: what follows is put behind it.
            stays = text.startswith(f"{there}\n")
            behind[tool] = text.removeprefix(f"{there}\n") if stays else text
            if not stays:
                instead.add(tool)
        run = OwnRun(self.audited, self.tools, behind, frozenset(instead), self.rules)
        run.play(tried.prompt)
        wanted = {suite.goals[name]: name for name in goals}
        reached = run.reached({text: self.audited.goals[text] for text in wanted})
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


def tried_out(audited: AuditedAgent, tools: Mapping[str, Tool]) -> tuple[Tried, ...]:
    """Let an agent answer each of its prompts once, so that what fails is said before a game.

    Raises:
        UsageError: the agent or a tool fails, or no prompt reads what is to be tested.
    """
    tried = []
    for number, prompt in enumerate(audited.prompts, 1):
        run = OwnRun(audited, tools)
        try:
            run.play(prompt)
            reached = [text for text, done in run.reached(audited.goals).items() if done]
            run.useful(prompt)
        except RunError as error:
            raise UsageError(f"--agent without an attack: {error}") from error
        if reached:
            raise UsageError(
                f"goals of the agent must not be reached without an attack, got {reached[0]!r} "
                f"for the prompt {prompt[:60]!r}"
            )
        tried.append(Tried(f"prompt {number}", prompt, dict(run.results)))
    tested = {*audited.others, *audited.secretive}
    if not any(tested & {*one.results} for one in tried):
        raise UsageError(
            f"a prompt of the agent must lead to a call of {' or '.join(sorted(tested))}, got none"
        )
    return tuple(tried)


def own_agent_of(
    audited: AuditedAgent, tools: Mapping[str, Tool], tried: Sequence[Tried]
) -> OwnAgent | None:
    """Return the agent for games about goals; None where none can be played."""
    places = {
        f"{one.task}, {turn}": tuple(
            f"{tool} of {one.task}" for tool in audited.others if tool in one.results
        )
        for turn in range(1, audited.repeats + 1)
        for one in tried
    }
    if len(audited.goals) < 2 or not any(places.values()):
        return None
    suite = Suite(
        name=NAME,
        tools=tools,
        tasks={
            f"{one.task}, {turn}": one.prompt
            for turn in range(1, audited.repeats + 1)
            for one in tried
        },
        goals={f"goal {k}": text for k, text in enumerate(audited.goals, 1)},
        vectors={
            f"{tool} of {one.task}": text
            for one in tried
            for tool, text in one.results.items()
            if tool in audited.others
        },
        vectors_of=places,
        open=lambda *_: NoWorld(),
    )
    return OwnAgent(
        (suite,),
        {NAME: Policy((), ())},
        fresh=audited.fresh,
        audited=audited,
        tools=tools,
        tried=tuple(tried),
    )

"""An agent with tools, as its owner runs it: a policy, its worlds, and the owner's rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hartley.core.errors import RunError, UsageError
from hartley.core.system import Event
from hartley.kit.agents.instructions import Order
from hartley.kit.agents.run import Program, Refusal, Rule, play
from hartley.kit.agents.values import plain
from hartley.kit.agents.world import Call, Suite, close


@dataclass(frozen=True, slots=True)
class Policy:
    """What decides the agent's next step: programs by kind of prompt, and what it understands.

    Attributes:
        programs: the first that fits a prompt is done.
        orders: the instructions that it can carry out.
    """

    programs: tuple[Program, ...]
    orders: tuple[Order, ...]

    def program_for(self, prompt: str) -> Program:
        """Return what to do for a prompt.

        Raises:
            RunError: the policy knows no such prompt.
        """
        for program in self.programs:
            if program.fits(prompt):
                return program
        raise RunError(f"the policy has no program for the prompt {prompt.strip()[:60]!r}")


@dataclass(frozen=True, slots=True)
class Played:
    """What one run came to.

    Attributes:
        utility: whether the user got what they wanted.
        goals: whether each goal that was asked about was reached, by name.
        events: all that passed, in order.
        calls: of tools, in order.
        refusals: what a rule did not let happen.
    """

    utility: bool
    goals: Mapping[str, bool]
    events: tuple[Event, ...]
    calls: tuple[Call, ...]
    refusals: tuple[Refusal, ...]

    @property
    def characters(self) -> int:
        """Characters of all that passed: what a model would have read and written."""
        return sum(len(event.text) for event in self.events)


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent with tools: a part of a scene.

    Attributes:
        suites: its worlds.
        policies: what decides its steps, by the suite's name.
        rules: rules of the owner, in the order in which they are asked.
        split: whether planning is split from execution.
        fresh: whether each run begins with a fresh world; else runs of one prompt may be alike.
    """

    suites: tuple[Suite, ...]
    policies: Mapping[str, Policy] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    split: bool = False
    fresh: bool = True

    def suite(self, name: str) -> Suite:
        """Return a suite by name.

        Raises:
            UsageError: there is none of this name.
        """
        for suite in self.suites:
            if suite.name == name:
                return suite
        raise UsageError(f"the agent has no worlds {name!r}")

    def play(
        self,
        suite: Suite,
        task: str,
        texts: Mapping[str, str] | None = None,
        goals: Sequence[str] = (),
    ) -> Played:
        """Do one of a user's tasks in a fresh world.

        Args:
            suite: one of the worlds.
            task: name of what the user asks for.
            texts: what third parties wrote, by the vector that they wrote it to.
            goals: names of an attacker's goals to ask about.

        Raises:
            RunError: the world fails, or the agent does not come to an end.
        """
        policy = self.policies[suite.name]
        prompt = suite.tasks[task]
        world = suite.open(texts or {}, task)
        try:
            run = play(
                policy.program_for(prompt),
                prompt,
                world,
                suite.tools,
                orders=policy.orders,
                rules=self.rules,
                split=self.split,
            )
            calls = [
                (call.tool, {k: plain(v) for k, v in call.arguments.items()}) for call in run.calls
            ]
            verdict = world.finish(run.answered, calls, tuple(goals))
        finally:
            close(world)
        return Played(
            verdict.utility,
            verdict.goals,
            tuple(run.events),
            tuple(run.calls),
            tuple(run.refusals),
        )


@dataclass(frozen=True, slots=True)
class PlannedAgent(Agent):
    """An agent whose plan for a prompt is known before it acts, so that rules can depend on it."""

"""Rules of an agent's owner: which tools may be called, with what, and what the agent may read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from hartley.kit.agents.run import AllowAll, Refused
from hartley.kit.agents.world import NAMED, OUTSIDE, Call, Tool, ToolResult

ACTING = re.compile(
    r"\b(?:pay|send|refund|transfer|schedule|set up|update|adjust|create|add|append|invite|post|"
    r"share|delete|remove|reserve|book|reservation|reschedule|reply|message|write|change|follow|"
    r"do the actions)\b",
    re.IGNORECASE,
)
"""Words by which a user asks for more than an answer; fitted to the prompts of AgentDojo."""

WITHHELD = "This result was withheld: it looks like an instruction."
"""What an agent reads in place of a result that a detector stopped."""


@dataclass(frozen=True, slots=True)
class FlowRule(AllowAll):
    """Refuse a call that acts where a third party's text decides one of its sensitive arguments.

    Attributes:
        every: whether all arguments count, and not the sensitive ones alone.
        named: whether a text passes whose place the user wrote out, such as the address of a page.
    """

    kind: ClassVar[str] = "flow"
    every: bool = False
    named: bool = False

    def before(self, call: Call, tool: Tool) -> None:
        """Refuse it.

        Raises:
            Refused: an argument has a source outside.
        """
        if not tool.acts:
            return
        refused = (OUTSIDE,) if self.named else (OUTSIDE, NAMED)
        for name, value in call.arguments.items():
            outside = sorted(source for source in value.sources if source.startswith(refused))
            if outside and (self.every or name in tool.sensitive):
                source = outside[0].split(":", 1)[1]
                raise Refused(f"{name} of {tool.name} comes from what others wrote in {source}")


@dataclass(frozen=True, slots=True)
class NeededTools(AllowAll):
    """Allow only the tools that the program for this prompt names, before anything is read."""

    kind: ClassVar[str] = "tool"

    def tools(self, prompt: str, uses: frozenset[str], tools: Mapping[str, Tool]) -> frozenset[str]:
        """Allow what is named."""
        del prompt
        return uses & frozenset(tools)


@dataclass(frozen=True, slots=True)
class ReadOnly(AllowAll):
    """Allow tools that act only where the user's words ask for more than an answer."""

    kind: ClassVar[str] = "tool"

    def tools(self, prompt: str, uses: frozenset[str], tools: Mapping[str, Tool]) -> frozenset[str]:
        """Allow all tools or those that only read."""
        del uses
        if ACTING.search(prompt):
            return frozenset(tools)
        return frozenset(name for name, tool in tools.items() if not tool.acts)


@dataclass(frozen=True, slots=True, eq=False)
class ResultDetector(AllowAll):
    """Withhold results that a classifier takes for an instruction.

    Attributes:
        flags: text → whether it looks like an instruction.
        pieces: text → the pieces that are looked at, each by itself.
    """

    kind: ClassVar[str] = "detector"
    flags: Callable[[str], bool]
    pieces: Callable[[str], list[str]]

    def result(self, call: Call, tool: Tool, result: ToolResult) -> ToolResult:
        """Pass a result on, or withhold it."""
        del call
        if not tool.foreign or not any(self.flags(piece) for piece in self.pieces(result.text)):
            return result
        return replace(result, text=WITHHELD, value=None, error=True)

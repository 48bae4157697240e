"""Worlds: the tools of an agent, with a state that they change, and who says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hartley.core.system import Place
from hartley.kit.agents.values import Value

OUTSIDE = "outside:"
"""How the source of a text begins that third parties can write: a mail, a page, a review."""

NAMED = "named:"
"""How the source of such a text begins where the user wrote out where it is."""

ALL_FIELDS = "*"
"""Stands for every field of a result."""


@dataclass(frozen=True, slots=True)
class Tool:
    """What an agent can call, and what its owner knows of it.

    Attributes:
        name: of the tool.
        description: what the agent is given to read of it.
        parameters: what each parameter is, in words, by name; required ones first.
        acts: whether it changes something or sends something out; a tool that does not only reads.
        sensitive: parameters that decide where something goes or what is destroyed.
        foreign: fields of its result that third parties can write; ``*`` is all of it.
        named: whether its arguments say whose text it returns, such as the address of a page: with
            arguments that the user wrote, the user chose whose word to take.
        users: a field and its value that mark the rows of the result that the user wrote alone;
            these hold nothing foreign.
        place: where its arguments can be observed besides the place of all arguments: ``file`` for
            one that writes a file, ``agent_message`` for one that writes to somebody, and so on.
        reads_memory: whether its result is chunks of a store.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    acts: bool = False
    sensitive: tuple[str, ...] = ()
    foreign: tuple[str, ...] = ()
    named: bool = False
    users: tuple[str, str] | None = None
    place: Place | None = None
    reads_memory: bool = False


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered.

    Attributes:
        text: as a model would read it; of an error, the error.
        value: the same as plain values (lists, mappings, texts, numbers), where the tool has such.
        error: whether the call failed.
    """

    text: str
    value: Any = None
    error: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool, as it was made.

    Attributes:
        tool: its name.
        arguments: values by name.
        ordered: whether an instruction that was read in a tool's result asked for it.
    """

    tool: str
    arguments: Mapping[str, Value]
    ordered: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one session, by the world's own measure.

    Attributes:
        utility: whether the user got what they wanted.
        goals: whether each goal of an attacker that was asked about was reached, by name.
    """

    utility: bool
    goals: Mapping[str, bool] = field(default_factory=dict)


class World(Protocol):
    """Tools with a state of their own; one that holds something has a function ``close`` too."""

    def call(self, tool: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Call a tool with plain arguments by name."""

    def finish(
        self, answer: str, calls: Sequence[tuple[str, Mapping[str, Any]]], goals: Sequence[str]
    ) -> Verdict:
        """Say what came of it: of the answer and of all calls, with their plain arguments."""


def close(world: World) -> None:
    """Let go of what a world holds, where it has a function ``close``; after it is judged too."""
    closing = getattr(world, "close", None)
    if closing is not None:
        closing()


@dataclass(frozen=True, slots=True)
class Suite:
    """Worlds of one kind: what users ask in them, and what attackers want.

    Attributes:
        name: of the suite.
        tools: by name.
        tasks: what the user writes, by the name of the task.
        goals: what an attacker wants, as a sentence, by the name of the goal.
        vectors: places in the world that third parties can write, each with the text that is there.
        vectors_of: of each task, the vectors whose text its tools return to an agent that does it.
        open: (texts by vector, task) → a fresh world; a vector that is not named keeps its text.
    """

    name: str
    tools: Mapping[str, Tool]
    tasks: Mapping[str, str]
    goals: Mapping[str, str]
    vectors: Mapping[str, str]
    vectors_of: Mapping[str, tuple[str, ...]]
    open: Callable[[Mapping[str, str], str], World]

"""Programs that act: what passes inside them, and the places where it can be observed.

An agent with tools, agents that write to each other and a store with several users answer a prompt,
and on the way they call tools, write messages, files and logs, and read what they wrote. Each of
these is an event, and an event happens at a place; an audit that reads the final answer alone reads
one place of seven.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class Place(StrEnum):
    """Where something that an agent handles can be read.

    The first two are what comes in; a leak is found in the seven others (``OBSERVED``).
    """

    PROMPT = "prompt"
    """what the user, or another sender, writes to the agent."""
    TOOL_RESULT = "tool_result"
    """what a tool answers."""
    ANSWER = "answer"
    """the final answer to the user."""
    TOOL_ARGUMENTS = "tool_arguments"
    """what the agent calls a tool with."""
    AGENT_MESSAGE = "agent_message"
    """what one agent writes to another, or to a person by a channel or a mail."""
    MEMORY_WRITE = "memory_write"
    """what the agent stores to read later."""
    LOG = "log"
    """what is written to a log."""
    FILE = "file"
    """what is written to a file."""
    RETRIEVED = "retrieved"
    """chunks that a search in a store returned."""


OBSERVED: tuple[Place, ...] = tuple(
    place for place in Place if place not in (Place.PROMPT, Place.TOOL_RESULT)
)
"""The seven places where a leak can be located, in order."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that passed inside a system.

    Attributes:
        place: where.
        actor: ``user``, or the name of an agent or a tool, by which it was done.
        text: what passed, as text.
        target: the tool that is called, or the agent or the file that is written to.
        data: anything else worth carrying, by name: plain values.
    """

    place: Place
    actor: str
    text: str
    target: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


class SystemSession(Protocol):
    """One start of a system, with a state of its own."""

    def send(self, event: Event) -> tuple[Event, ...]:
        """Let something come in; return all that it led to, in order."""

    def close(self) -> None:
        """Let go of what the session holds."""


@dataclass(frozen=True, slots=True)
class System:
    """A program that acts, as an auditor can start it.

    Attributes:
        name: what to call it in reports.
        identity: a name that this system has and no other; empty where it is not declared: a run on
            it is then never continued.
        open: seed → a session with a fresh state.
        places: where it can be observed; a place that is absent here was not looked at, which is
            not the same as silence.
        fresh: whether a session begins with a fresh state; else sessions may depend on others.
    """

    name: str
    identity: str
    open: Callable[[int], SystemSession]
    places: tuple[Place, ...] = OBSERVED
    fresh: bool = True

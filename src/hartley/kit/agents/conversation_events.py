"""What passes in a conversation, as events at the places where an auditor can read it."""

from __future__ import annotations

from dataclasses import dataclass

from hartley.core.errors import UsageError
from hartley.core.system import Event, Place, System
from hartley.kit.agents.conversation import USER, Conversation, Talk, talk

PLACES = (
    *(Place.ANSWER, Place.TOOL_ARGUMENTS, Place.AGENT_MESSAGE),
    *(Place.MEMORY_WRITE, Place.RETRIEVED),
)
"""Where a conversation can be observed: it has no files and no logs."""

BOARD = "board"
"""The tool."""


def events(conversation: Conversation, talked: Talk) -> tuple[Event, ...]:
    """Return all that passed, round by round.

    In a round come the messages that were delivered, what memory found, the posts, and what
    memories took in; the answer is last. ``data`` has the round.
    """
    names = conversation.agents
    timed = [
        *(
            (m.round, 0, Event(Place.AGENT_MESSAGE, m.sender, m.text, m.receiver, _at(m.round)))
            for m in talked.delivered
        ),
        *(
            (now, 1, Event(Place.RETRIEVED, names[i], text, "memory", _at(now)))
            for now, i, text in talked.recalled
        ),
        *(
            (p.round, 2, Event(Place.TOOL_ARGUMENTS, names[p.agent], p.word, BOARD, _at(p.round)))
            for p in talked.posts
        ),
        *(
            (now, 3, Event(Place.MEMORY_WRITE, names[i], text, "memory", _at(now)))
            for now, i, text in talked.writes
        ),
    ]
    ordered = [event for _, _, event in sorted(timed, key=lambda item: item[:2])]
    collector = names[talked.collector]
    return (*ordered, Event(Place.ANSWER, collector, talked.answer, USER, _at(conversation.rounds)))


def _at(now: int) -> dict[str, int]:
    return {"round": now}


@dataclass(slots=True)
class ConversationSession:
    """One conversation that can be started."""

    conversation: Conversation
    seed: int

    def send(self, event: Event) -> tuple[Event, ...]:
        """Let a visitor's message to one agent come in, and hold the conversation.

        Args:
            event: with the name of the agent as ``target``.

        Raises:
            UsageError: there is no such agent.
        """
        names = self.conversation.agents
        if event.target not in names:
            raise UsageError(f"target must be one of the agents, got {event.target!r}")
        talked = talk(self.conversation, self.seed, {names.index(event.target): [event.text]})
        return events(self.conversation, talked)

    def close(self) -> None:
        """Nothing is held."""


def system_of(conversation: Conversation, name: str = "conversation") -> System:
    """Return a conversation as a system that an auditor starts and observes."""
    # How agents answer is a function, which has no name that no other has.
    return System(name, "", lambda seed: ConversationSession(conversation, seed), PLACES)

"""How a chat model's conversation is written as one text, and where its answer in it ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hartley.core.errors import UsageError

Message = Mapping[str, str]
"""``{"role": "system", "user" or "assistant", "content": …}``."""

ROLES = ("system", "user", "assistant")


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """What is written before and after each message of a conversation.

    Attributes:
        user_open: before what the user says.
        user_close: after it.
        answer_open: before what the model answers.
        answer_close: after it; an answer ends where this is written.
        system_open: before the system message.
        system_close: after it.
        start: before the whole conversation.
    """

    user_open: str
    user_close: str
    answer_open: str
    answer_close: str
    system_open: str = ""
    system_close: str = ""
    start: str = ""

    def __post_init__(self) -> None:
        if not self.answer_close:
            raise UsageError("answer_close must be what ends an answer, got an empty text")

    def render(self, messages: Sequence[Message], prefill: str = "") -> str:
        """Write a conversation up to where the model goes on.

        Args:
            messages: in order. An answer that comes last is left open, as if prefilled, and is
                gone on with.
            prefill: how the answer to the last user's message begins.

        Raises:
            UsageError: a role is none of system, user and assistant, or a prefill has no user's
                message to answer.
        """
        if not messages or messages[-1]["role"] == "system":
            raise UsageError("a conversation must end with a user's message or an answer")
        body = "".join(self._message(message) for message in messages[:-1])
        last = messages[-1]
        if last["role"] == "assistant":
            if prefill:
                raise UsageError("a prefill must answer a user's message, got one after an answer")
            return self.start + body + self.answer_open + last["content"]
        return self.start + body + self._message(last) + self.answer_open + prefill

    def closed(self, messages: Sequence[Message]) -> str:
        """Write a whole conversation with each message closed, as a text to train on."""
        return self.start + "".join(self._message(message) for message in messages)

    def answer(self, continuation: str) -> str:
        """Return the model's answer: its continuation up to where the answer ends."""
        return continuation.split(self.answer_close, 1)[0]

    def _message(self, message: Message) -> str:
        role, content = message["role"], message["content"]
        if role == "user":
            return self.user_open + content + self.user_close
        if role == "assistant":
            return self.answer_open + content + self.answer_close
        if role == "system":
            return self.system_open + content + self.system_close
        raise UsageError(f"a role must be {', '.join(ROLES[:-1])} or {ROLES[-1]}, got {role!r}")


LINES = ChatTemplate("User: ", "\n", "Assistant: ", "\n", "System: ", "\n")
"""Of a victim behind an interface that writes the marks of messages itself."""


def asked(question: str, system: str = "") -> list[dict[str, str]]:
    """Return a conversation of one user's message, after a system message where there is one."""
    before = [{"role": "system", "content": system}] if system else []
    return [*before, {"role": "user", "content": question}]

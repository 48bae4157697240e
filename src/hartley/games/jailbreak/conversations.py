"""Conversations with a victim: how attackers and the judge hold them, and how they are submitted.

A submission is text, for a judge to hold with the victim anew: what an attacker found as tokens
counts only where the victim's tokenizer gives the same tokens for its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Form, Modality, Model
from hartley.core.errors import RuleError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.kit.language.chat_template import ChatTemplate, Message

Conversation = Sequence["Message"]

PREFILL = "prefill"
"""The fact of a loot (m, tries): how the answer to the last message of each conversation begins."""


def ask(
    model: Model,
    template: ChatTemplate,
    conversations: Sequence[Conversation],
    new: int,
    seed: int = -1,
) -> list[str]:
    """Return the victim's answers, one a conversation; each is one query.

    Where a conversation ends with an answer, the victim goes on with it, and what it adds is
    returned.

    Args:
        model: with ``generate`` and a codec, or with ``chat``.
        template: of the victim, for what its codec reads.
        conversations: each ends with a user's message, or with how its answer begins.
        new: tokens of an answer, at most.
        seed: of sampled answers; −1 is greedy.
    """
    if not len(conversations):
        return []
    prefilled = any(messages[-1]["role"] == "assistant" for messages in conversations)
    chats = model.calls.get("chat")
    if chats is not None and not (prefilled and "generate" in model.calls and model.codec):
        plain = [[dict(message) for message in messages] for messages in conversations]
        return [str(answer) for answer in chats(plain, new, seed)]
    codec = model.codec
    if codec is None:
        raise RuleError(f"{model.name!r} must chat, or have a codec for conversations, got neither")
    tokens = codec.encode([template.render(messages) for messages in conversations])
    answers = codec.decode(np.asarray(model.calls["generate"](tokens, new, seed)))
    return [template.answer(answer) for answer in answers]


def talk(
    model: Model,
    template: ChatTemplate,
    turns: Sequence[Sequence[str]],
    new: int,
    *,
    system: str = "",
    prefills: Sequence[str] | None = None,
    seed: int = -1,
    context: int = 0,
) -> list[list[str]]:
    """Hold conversations turn by turn, each with the victim's own answers in it.

    Args:
        model, template, new, seed: as of ``ask``.
        turns: (n, …) what the user says in each turn of each conversation.
        system: the system message before each; empty for none.
        prefills: (n,) how the answer to the last turn begins; None for nowhere.
        context: tokens of a conversation with its answer, at most; 0 sets no limit.

    Returns:
        The answers to each turn of each conversation.

    Raises:
        RuleError: a conversation is longer than the context.
    """
    begins = list(prefills) if prefills is not None else [""] * len(turns)
    first = [{"role": "system", "content": system}] if system else []
    so_far: list[list[dict[str, str]]] = [list(first) for _ in turns]
    replies: list[list[str]] = [[] for _ in turns]
    for k in range(max(map(len, turns), default=0)):
        rows = [i for i, row in enumerate(turns) if k < len(row)]
        opened = []
        for i in rows:
            so_far[i].append({"role": "user", "content": turns[i][k]})
            last = begins[i] and k == len(turns[i]) - 1
            begun = [{"role": "assistant", "content": begins[i]}] if last else []
            opened.append([*so_far[i], *begun])
        check_lengths(model, template, opened, new, context)
        for i, answer in zip(rows, ask(model, template, opened, new, seed), strict=True):
            so_far[i].append({"role": "assistant", "content": answer})
            replies[i].append(answer)
    return replies


def sizes(
    model: Model, template: ChatTemplate, conversations: Sequence[Conversation]
) -> NDArray[np.int64]:
    """Return the tokens (n,) of conversations as the victim reads them; 0 without a codec."""
    if model.codec is None or not len(conversations):
        return np.zeros(len(conversations), np.int64)
    rows = model.codec.encode([template.render(messages) for messages in conversations])
    return np.asarray((np.asarray(rows) >= 0).sum(1), np.int64)


def check_lengths(
    model: Model,
    template: ChatTemplate,
    conversations: Sequence[Conversation],
    new: int,
    context: int,
) -> None:
    """Raise RuleError where a conversation with ``new`` tokens of an answer exceeds the context."""
    if not context or not len(conversations):
        return
    longest = int(sizes(model, template, conversations).max())
    if longest + new > context:
        raise RuleError(
            f"a conversation must be at most {context} tokens with an answer of {new}, got "
            f"{longest + new}"
        )


def submission(
    turns: Sequence[Sequence[Sequence[str]]], prefills: Sequence[Sequence[str]] | None = None
) -> Data:
    """Return a loot of conversations.

    Args:
        turns: (m, tries, turns) what the user says; rows may be of different lengths.
        prefills: (m, tries) how the answer to the last turn begins, or None.
    """
    tries = max((len(row) for row in turns), default=1)
    longest = max((len(talked) for row in turns for talked in row), default=1)
    x = np.array(
        [
            [
                [talked[k] if k < len(talked) else "" for k in range(longest)]
                for talked in [*row, *[[]] * (tries - len(row))]
            ]
            for row in turns
        ],
        dtype=np.str_,
    ).reshape(len(turns), tries, longest)
    facts: dict[str, Any] = {}
    if prefills is not None:
        rows = [[*row, *[""] * (tries - len(row))] for row in prefills]
        facts[PREFILL] = np.array(rows, dtype=np.str_)
    return Data(
        "conversations", Modality.LANGUAGE, x, role="conversations", facts=facts, form=Form.TEXT
    )


def folded(text: str) -> str:
    """Return a text in lower case with one space between words."""
    return " ".join(text.casefold().split())

"""What a log says of one call of a model, and how lines of JSON are read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from hartley.core.errors import UsageError


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call of a model.

    Attributes:
        id: of the call, the same in every log that it is in.
        account, team: of the client, as far as the log says; empty else.
        model: as the client named it.
        choices: answers that were asked for.
        answers: everything that the client received as text, of all choices and channels; None
            where the log does not hold it.
        instructions: system prompts.
        failed: whether the client received an error, as far as the log says.
        place: file and line.
    """

    id: str
    account: str
    team: str
    model: str
    choices: int
    answers: tuple[str, ...] | None
    instructions: tuple[str, ...]
    failed: bool
    place: str


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that cannot be read as a call.

    Attributes:
        place: file and line.
        reason: what is wrong with it.
    """

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class OtherLine:
    """A line about something other than an answer in text, such as an embedding.

    Attributes:
        place: file and line.
        kind: what it is about.
    """

    place: str
    kind: str


def rows(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield place and content of each JSON value of a file: one a line, or one array or object.

    A line that is not JSON is yielded as a :class:`BadLine`.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            first = file.readline()
            whole = first.strip() in (b"[", b"{") or first.lstrip().startswith(b"[")
            if whole:
                yield from _whole(path, first + file.read())
                return
            for number, line in enumerate(chain([first], file), 1):
                if line.strip():
                    place = f"{path.name}:{number}"
                    yield place, _parsed(place, line)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _whole(path: Path, raw: bytes) -> Iterator[tuple[str, Any]]:
    content = _parsed(path.name, raw)
    if isinstance(content, list):
        for number, row in enumerate(content, 1):
            yield f"{path.name}[{number}]", row
    else:
        yield path.name, content


def _parsed(place: str, raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        return BadLine(place, "is not JSON")


def text(value: object) -> str:
    """Return a text, empty for anything else."""
    return value if isinstance(value, str) else ""


def table(value: object) -> dict[str, Any]:
    """Return an object of JSON, also from its text; empty for anything else."""
    if isinstance(value, str) and value[:1] == "{":
        value = _parsed("", value.encode("utf-8", "replace"))
    return value if isinstance(value, dict) else {}


def array(value: object) -> list[Any]:
    """Return an array of JSON, also from its text; empty for anything else."""
    if isinstance(value, str) and value[:1] == "[":
        value = _parsed("", value.encode("utf-8", "replace"))
    return value if isinstance(value, list) else []


def count(value: object, least: int) -> int:
    """Return a number of choices, and ``least`` for anything else."""
    if isinstance(value, str) and value.isdecimal() and len(value) < 6:
        value = int(value)
    return max(value, least) if type(value) is int else least


def content_texts(content: object) -> list[str]:
    """Return the texts of a message's content: a text, or parts with texts."""
    if isinstance(content, str):
        return [content]
    parts = [table(part) for part in array(content)]
    texts = [text(part.get("text")) or text(part.get("content")) for part in parts]
    return [part for part in texts if part]


def message_texts(message: object) -> list[str]:
    """Return everything that a message of the OpenAI protocol says, in any of its channels."""
    row = table(message)
    texts = content_texts(row.get("content"))
    texts += [text(row.get(name)) for name in ("reasoning_content", "reasoning", "refusal")]
    calls = [table(call).get("function") for call in array(row.get("tool_calls"))]
    for call in (table(function) for function in (*calls, row.get("function_call"))):
        arguments = call.get("arguments")
        texts += [text(call.get("name")), arguments_text(arguments)]
    return [part for part in texts if part]


def arguments_text(arguments: object) -> str:
    """Return the arguments of a call as they were written, or as JSON."""
    if isinstance(arguments, str) or arguments is None:
        return arguments or ""
    return json.dumps(arguments, ensure_ascii=False)


def first_of(*values: object) -> str:
    """Return the first value that is a text and not empty."""
    return next((value for value in values if isinstance(value, str) and value), "")


def system_texts(messages: object) -> tuple[str, ...]:
    """Return the system prompts among the messages of a request."""
    chosen = [table(message) for message in array(messages)]
    return tuple(
        part
        for message in chosen
        if message.get("role") in ("system", "developer")
        for part in content_texts(message.get("content") or message.get("parts"))
    )


Entry = LoggedCall | BadLine | OtherLine
Paths = Sequence[Path]

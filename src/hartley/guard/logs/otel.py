"""Logs of OpenTelemetry: spans and events of its GenAI conventions, as OTLP in JSON.

What a model answered is in one of four places, and which one depends on the version of the
conventions and on settings: ``gen_ai.output.messages`` of the span; the same attribute of the event
``gen_ai.client.inference.operation.details``; events ``gen_ai.choice`` of the span's trace; or
attributes ``gen_ai.completion.N.…`` of older instrumentations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from hartley.guard.logs.logged_calls import (
    BadLine,
    Entry,
    LoggedCall,
    OtherLine,
    Paths,
    arguments_text,
    array,
    content_texts,
    count,
    first_of,
    message_texts,
    rows,
    system_texts,
    table,
    text,
)

TEXTS = ("chat", "text_completion", "generate_content")
"""Operations whose answers are texts. An agent's own span repeats those of its calls."""

ACCOUNTS = ("user.id", "enduser.id", "user.name", "gen_ai.user.id", "llm.user")
"""Attributes of a span, or of one above it, that say who called."""

DETAILS = "gen_ai.client.inference.operation.details"
CONTENT = "gen_ai.content.completion"
PLAIN = re.compile(r"gen_ai\.(prompt|completion)\.(\d+)\.(.+)")
MOST_ABOVE = 64
"""Spans above a span that are asked who called."""


@dataclass(slots=True)
class _Span:
    """What is known of a span from all lines of a log."""

    place: str
    attributes: dict[str, Any] = field(default_factory=dict)
    resource: dict[str, Any] = field(default_factory=dict)
    parent: tuple[str, str] = ("", "")
    failed: bool = False
    complete: bool = False
    details: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[str, Any, dict[str, Any]]] = field(default_factory=list)


def otel_calls(paths: Paths) -> Iterator[Entry]:
    """Yield what the spans of some logs say, in the order in which they end.

    Args:
        paths: of files of OTLP in JSON, one export a line; spans and events may be in two files.

    Raises:
        UsageError: a file cannot be read.
    """
    spans: dict[tuple[str, str], _Span] = {}
    for path in paths:
        for place, row in rows(path):
            if isinstance(row, BadLine):
                yield row
                continue
            known = isinstance(row, dict) and (
                isinstance(row.get("resourceSpans"), list)
                or isinstance(row.get("resourceLogs"), list)
            )
            if not known:
                yield BadLine(place, "is not OTLP: it has no resourceSpans or resourceLogs")
                continue
            yield from _taken(place, row, spans)
    for key, span in spans.items():
        entry = _call(key, span, spans)
        if entry is not None:
            yield entry


def _taken(
    place: str, row: Mapping[str, Any], spans: dict[tuple[str, str], _Span]
) -> Iterator[BadLine]:
    """Add an export to the spans, and yield what in it has no place in a trace."""
    for kind, scopes, items in (
        ("resourceSpans", "scopeSpans", "spans"),
        ("resourceLogs", "scopeLogs", "logRecords"),
    ):
        for export in (table(export) for export in array(row.get(kind))):
            resource = attributes_of(table(export.get("resource")).get("attributes"))
            inner = [table(scope) for scope in array(export.get(scopes))]
            for item in (table(item) for scope in inner for item in array(scope.get(items))):
                name = first_of(item.get("eventName"), item.get("name"))
                values = attributes_of(item.get("attributes"))
                name = name or first_of(values.get("event.name"))
                ours = kind == "resourceSpans" or name.startswith("gen_ai.")
                key = (text(item.get("traceId")), text(item.get("spanId")))
                if not all(key):
                    if ours:
                        yield BadLine(place, f"has {name or 'a span'} without traceId and spanId")
                    continue
                if not ours:
                    continue
                span = spans.setdefault(key, _Span(place))
                span.resource = span.resource or resource
                if kind == "resourceSpans":
                    # The span says when a call ended: calls are in that order.
                    spans[key] = spans.pop(key)
                    _add(span, place, item, values)
                elif name == DETAILS:
                    span.details = values
                else:
                    span.events.append((name, value_of(item.get("body")), values))


def _add(span: _Span, place: str, item: Mapping[str, Any], values: dict[str, Any]) -> None:
    span.place, span.complete, span.attributes = place, True, values
    span.parent = (text(item.get("traceId")), text(item.get("parentSpanId")))
    span.failed = table(item.get("status")).get("code") in (2, "STATUS_CODE_ERROR")
    for event in (table(event) for event in array(item.get("events"))):
        more = attributes_of(event.get("attributes"))
        span.events.append((text(event.get("name")), more, more))


def attributes_of(rows: object) -> dict[str, Any]:
    """Return attributes of OTLP as plain values."""
    pairs = [table(row) for row in array(rows)]
    return {text(row.get("key")): value_of(row.get("value")) for row in pairs}


def value_of(value: object) -> Any:
    """Return a value of OTLP (``AnyValue``) as a plain one."""
    row = table(value)
    if "arrayValue" in row:
        return [value_of(item) for item in array(table(row["arrayValue"]).get("values"))]
    if "kvlistValue" in row:
        return attributes_of(table(row["kvlistValue"]).get("values"))
    if "intValue" in row:
        number = row["intValue"]
        return int(number) if re.fullmatch(r"-?\d{1,19}", str(number)) else None
    return next(
        (row[name] for name in ("stringValue", "doubleValue", "boolValue") if name in row), None
    )


def _call(
    key: tuple[str, str], span: _Span, spans: Mapping[tuple[str, str], _Span]
) -> Entry | None:
    values = {**span.details, **span.attributes}
    model = first_of(values.get("gen_ai.request.model"), values.get("gen_ai.response.model"))
    operation = first_of(values.get("gen_ai.operation.name"), values.get("llm.request.type"))
    if not span.complete and not span.details:
        return BadLine(span.place, f"has events of span {key[1]}, which is not in the log")
    if not model and not operation:
        return None  # a span of something else
    if operation and operation not in (*TEXTS, "completion"):
        return OtherLine(span.place, operation)
    if not model:
        return BadLine(span.place, f"has span {key[1]}, which does not name a model")
    failed = span.failed or "error.type" in values
    choices, answers = _answers(span, values)
    if failed and answers is None:
        answers = ()
    return LoggedCall(
        id=f"otel:{key[0]}:{key[1]}",
        account=_account(span, spans),
        team=first_of(span.resource.get("service.namespace")),
        model=model,
        choices=count(values.get("gen_ai.request.choice.count"), max(1, choices)),
        answers=answers,
        instructions=_instructions(span, values),
        failed=failed,
        place=span.place,
    )


def _account(span: _Span, spans: Mapping[tuple[str, str], _Span]) -> str:
    """Return who called: of the span, of those above it, or else the service."""
    above: _Span | None = span
    for _ in range(MOST_ABOVE):
        if above is None:
            break
        values = above.attributes
        name = first_of(*(values.get(key) for key in ACCOUNTS))
        if name:
            return name
        above = spans.get(above.parent)
    return first_of(span.resource.get("service.name"))


def _part_texts(part: Mapping[str, Any]) -> list[str]:
    """Return what one part of a message says."""
    texts = [*content_texts(part.get("content")), text(part.get("text"))]
    if "arguments" in part:
        texts += [text(part.get("name")), arguments_text(part["arguments"])]
    return [line for line in texts if line]


def _answers(span: _Span, values: Mapping[str, Any]) -> tuple[int, tuple[str, ...] | None]:
    """Return the number of choices in a log, and their texts; None where it has none."""
    if "gen_ai.output.messages" in values:
        messages = [table(message) for message in array(values["gen_ai.output.messages"])]
        parts = [table(part) for message in messages for part in array(message.get("parts"))]
        return len(messages), tuple(line for part in parts for line in _part_texts(part))
    choices = [body for name, body, _ in span.events if name == "gen_ai.choice"]
    if choices:
        bodies = [table(body) for body in choices]
        if all("message" in body for body in bodies):
            texts = [line for body in bodies for line in message_texts(body["message"])]
            return len(bodies), tuple(texts)
        return len(bodies), None  # the settings left the content out
    plain = _plain(values, "completion")
    if plain:
        return len(plain), tuple(line for message in plain for line in message_texts(message))
    events = [more.get("gen_ai.completion") for name, _, more in span.events if name == CONTENT]
    line = first_of(*events, values.get("gen_ai.completion"))
    return (1, (line,)) if line else (0, None)


def _instructions(span: _Span, values: Mapping[str, Any]) -> tuple[str, ...]:
    parts = [table(part) for part in array(values.get("gen_ai.system_instructions"))]
    texts = [line for part in parts for line in _part_texts(part)]
    texts += system_texts(values.get("gen_ai.input.messages"))
    for name, body, _ in span.events:
        if name == "gen_ai.system.message":
            texts += content_texts(table(body).get("content"))
    texts += system_texts(_plain(values, "prompt"))
    return tuple(texts)


def _plain(values: Mapping[str, Any], kind: str) -> list[dict[str, Any]]:
    """Return messages that are written as numbered attributes."""
    messages: dict[int, dict[str, Any]] = {}
    for name, value in values.items():
        match = PLAIN.fullmatch(name)
        if match and match[1] == kind and len(match[2]) < 6:
            message = messages.setdefault(int(match[2]), {})
            call = re.fullmatch(r"tool_calls\.(\d{1,4})\.(name|arguments)", match[3])
            if call:
                calls = message.setdefault("calls", {})
                calls.setdefault(int(call[1]), {})[call[2]] = value
            else:
                message[match[3]] = value
    for message in messages.values():
        calls = message.pop("calls", {})
        message["tool_calls"] = [{"function": calls[number]} for number in sorted(calls)]
    return [messages[number] for number in sorted(messages)]

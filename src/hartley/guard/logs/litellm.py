"""Logs of LiteLLM: ``StandardLoggingPayload`` as its loggers write it, and rows of spend logs.

A payload has an object ``response`` and ``model_parameters``; a row of the table of spend logs has
``request_id`` and its ``metadata`` and ``response`` as texts of JSON. Both have the same
``litellm_call_id``, so that a call which is in both is one call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hartley.guard.logs.logged_calls import (
    BadLine,
    Entry,
    LoggedCall,
    OtherLine,
    Paths,
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

TEXTS = ("completion", "text_completion", "responses", "anthropic_messages", "generate_content")
"""Types of calls whose answers are texts, without the ``a`` of those that are asynchronous."""

REDACTED = "redacted-by-litellm"
"""What LiteLLM writes for a content that is not logged."""


def litellm_calls(paths: Paths) -> Iterator[Entry]:
    """Yield what each row of logs of LiteLLM says.

    Args:
        paths: of the files: JSON lines, or one array.

    Raises:
        UsageError: a file cannot be read.
    """
    for path in paths:
        for place, row in rows(path):
            yield row if isinstance(row, BadLine) else _call(place, row)


def _call(place: str, row: object) -> Entry:
    if not isinstance(row, dict):
        return BadLine(place, "is not an object")
    row = table(row.get("standard_logging_object")) or row
    kind = text(row.get("call_type"))
    if not kind or not ("status" in row or "request_id" in row):
        return BadLine(place, "is not a record of LiteLLM: it has no call_type with a status")
    if kind not in TEXTS and kind.removeprefix("a") not in TEXTS:
        return OtherLine(place, kind)
    metadata = table(row.get("metadata"))
    call = first_of(row.get("litellm_call_id"), metadata.get("litellm_call_id"))
    call = call or first_of(row.get("request_id"), row.get("id"))
    model = first_of(row.get("model_group"), row.get("model"))
    if not call or not model:
        return BadLine(place, f"has no {'model' if call else 'id'}")
    failed = row.get("status") == "failure" or metadata.get("status") == "failure"
    response = table(row.get("response"))
    answers = _answers(row.get("response"), response)
    # Spend logs have the request, where they have it, in another column.
    request = table(row.get("proxy_server_request"))
    parameters = table(row.get("model_parameters")) or request
    messages = array(row.get("messages")) or array(request.get("messages"))
    return LoggedCall(
        id=f"litellm:{call}",
        account=first_of(
            metadata.get("user_api_key_alias"),
            metadata.get("user_api_key_user_id"),
            row.get("end_user"),
            metadata.get("user_api_key_hash"),
            row.get("user"),
            row.get("api_key"),
        ),
        team=first_of(
            metadata.get("user_api_key_team_alias"),
            metadata.get("user_api_key_team_id"),
            row.get("team_id"),
        ),
        model=model,
        choices=count(parameters.get("n"), max(1, len(array(response.get("choices"))))),
        answers=() if failed and not answers else answers,
        instructions=system_texts(messages),
        failed=failed,
        place=place,
    )


def _answers(raw: object, response: dict[str, Any]) -> tuple[str, ...] | None:
    """Return the texts of a response, or None where it was not logged."""
    texts: list[str] = []
    for choice in (table(choice) for choice in array(response.get("choices"))):
        texts += [text(choice.get("text")), *message_texts(choice.get("message"))]
    for item in (table(item) for item in array(response.get("output"))):
        texts += content_texts(item.get("content"))
        texts += content_texts(item.get("summary"))
        texts += [text(item.get("name")), text(item.get("arguments"))]
    texts += content_texts(response.get("content"))
    if isinstance(raw, str) and raw[:1] != "{":
        texts.append(raw)
    texts = [part for part in texts if part]
    if any(REDACTED in part for part in texts) or REDACTED in text(response.get("text")):
        return None
    known = {"choices", "output", "content"} & response.keys()
    return tuple(texts) if known or texts else None

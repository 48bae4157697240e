"""One request while it is answered, and how it is refused."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

if TYPE_CHECKING:
    from hartley.guard.config import Principal
    from hartley.guard.decoys import Planted
    from hartley.guard.forms import Form
    from hartley.guard.protocols import Charge, Reservation, State


PASSED_STATUSES = (400, 404, 413, 422, 429)
"""Errors of the model's server that a client is shown; any other is 502."""


SERVER = {"Server": "hartley-guard"}
"""The header of every response: nothing of the versions that run here."""


class Rejected(Exception):
    """A request that is answered with an error of the guard's.

    Attributes:
        status: of HTTP.
        kind: for programs: ``invalid_request_error`` and the like.
        message: for people; nothing of the model's is in it.
    """

    def __init__(self, status: int, kind: str, message: str) -> None:
        """Keep what the client will read."""
        self.status, self.kind, self.message = status, kind, message
        super().__init__(message)


@dataclass(slots=True)
class Exchange:
    """One request while it is answered.

    Attributes:
        principal: that asks and pays.
        request: as aiohttp has it.
        path: ``/chat/completions`` or ``/completions``.
        body: bytes as they came.
        arrived: seconds of the loop's clock, which is never set back.
        read_at: when all of its body was there, by the same clock.
        created: seconds since 1970 of the arrival.
        number: drawn at its arrival, for the ids of its answer.
        content: the table in the body; empty where it has none.
        form, charge: of its answers.
        reservation: the charge that is durable; None without one.
        planted: the decoys in it.
        waited: seconds that the model's server took to its first byte.
        sent_at: when it was forwarded, by the loop's clock.
        key: its Idempotency-Key; empty for none.
        began: whether the first byte was marked.
        prepared: whether the first byte was sent.
        recorded: whether its end was recorded.
        outcome: how it ended, for metrics and the audit log.
        facts: for the audit log.
        texts: of the answer: as the model wrote them where answers are declared or cut, else as
            they were released.
        left: what the client is sent instead; None for the same.
    """

    principal: Principal
    request: web.BaseRequest
    path: str
    body: bytes
    arrived: float
    read_at: float = field(default_factory=time.monotonic)
    created: int = field(default_factory=lambda: int(time.time()))
    number: str = field(default_factory=lambda: secrets.token_hex(12))
    content: Mapping[str, Any] = field(default_factory=dict)
    form: Form | None = None
    charge: Charge | None = None
    reservation: Reservation | None = None
    planted: Planted | None = None
    waited: float = 0.0
    sent_at: float = 0.0
    key: str = ""
    began: bool = False
    prepared: bool = False
    recorded: bool = False
    outcome: str = "hung_up"
    facts: dict[str, Any] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    left: list[str] | None = None

    @property
    def chat(self) -> bool:
        """Whether it asks for a chat; else for a completion."""
        return self.path == "/chat/completions"

    @property
    def streams(self) -> bool:
        """Whether its answer is to come in events."""
        return self.content.get("stream") is True

    @property
    def head(self) -> dict[str, Any]:
        """The fields of its answer that do not depend on the model."""
        kind = "chat.completion" if self.chat else "text_completion"
        chunk = ".chunk" if self.chat and self.streams else ""
        return {
            "id": ("chatcmpl-" if self.chat else "cmpl-") + self.number,
            "object": kind + chunk,
            "created": self.created,
            "model": self.content.get("model"),
        }

    @property
    def state(self) -> State:
        """The state of its group; open where there is no ledger."""
        return self.reservation.state if self.reservation is not None else "open"


def outage() -> Rejected:
    """Return the refusal of a request that cannot be charged."""
    return Rejected(503, "unavailable_error", "the ledger cannot be used, so nothing is passed on")


def upstream_error(status: int) -> Rejected:
    """Return the refusal of a request to which the model's server gave no answer."""
    status = status if status in PASSED_STATUSES else 502
    return Rejected(status, "upstream_error", f"the model's server gave no answer ({status})")


def error_text(rejection: Rejected) -> bytes:
    """Return an error as clients of the protocol read it."""
    content = {"message": rejection.message, "type": rejection.kind, "param": None, "code": None}
    return json.dumps({"error": content}).encode()


def error_response(rejection: Rejected) -> web.Response:
    """Return the response that refuses a request; a body that was not read ends the connection."""
    response = web.Response(
        body=error_text(rejection), status=rejection.status, content_type="application/json"
    )
    if rejection.status in (408, 413, 415, 417):
        response.force_close()
    return response


def earlier(content: Mapping[str, Any]) -> list[str]:
    """Return the answers that a request quotes of its conversation."""
    rows = content.get("messages")
    return [
        row["content"]
        for row in (rows if isinstance(rows, list) else ())
        if isinstance(row, dict)
        and row.get("role") == "assistant"
        and isinstance(row.get("content"), str)
    ]

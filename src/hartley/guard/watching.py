"""A dry run: bytes are passed on as they are, and what would have been done is counted beside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from aiohttp import web

from hartley.core.errors import UsageError
from hartley.guard import forms
from hartley.guard.enforcing import raw_texts
from hartley.guard.exchange import SERVER, Exchange, upstream_error
from hartley.guard.protocols import Refused, State
from hartley.guard.sse import BadEvents, EventReader
from hartley.guard.streaming import BadAnswer, JudgedAnswer
from hartley.guard.upstream import MOST_ANSWER_BYTES, UpstreamFault, pieces, plain

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from hartley.guard.proxy import Guard

PASSED_HEADERS = ("Content-Type", "Content-Encoding", "Content-Length")
"""Headers of the model's response that belong to its bytes."""


async def watched(guard: Guard, exchange: Exchange) -> web.StreamResponse:
    """Pass a request and its answer on unchanged; charge and judge them beside.

    Raises:
        Rejected: the model's server gave no answer.
    """
    await _charged(guard, exchange)
    response: ClientResponse | None = None
    stream: web.StreamResponse | None = None
    copy = bytearray()
    try:
        response = await guard.ask(exchange, exchange.body)
        await guard.begin(exchange)
        headers = {
            name: response.headers[name] for name in PASSED_HEADERS if name in response.headers
        }
        stream = web.StreamResponse(status=response.status, headers={**headers, **SERVER})
        exchange.prepared = True
        await stream.prepare(exchange.request)
        async for piece in pieces(response, limit=2**63):
            await stream.write(piece)
            if len(copy) <= MOST_ANSWER_BYTES:
                copy += piece
        exchange.outcome = "passed"
    except UpstreamFault as fault:
        exchange.outcome = "upstream_error"
        if response is not None:
            guard.fault(fault.kind)
        if stream is None:
            raise upstream_error(502) from None
        # As the model's server did, the guard breaks off.
        if exchange.request.transport is not None:
            exchange.request.transport.abort()
        return stream
    finally:
        if response is not None:
            response.close()
    if exchange.form is not None and response.status == 200 and plain(response):
        exchange.recorded = True
        guard.later(_judged(guard, exchange, bytes(copy)))
    await stream.write_eof()
    return stream


WOULD: dict[State, str] = {
    "slow": "would have slowed",
    "coarsen": "would have coarsened",
    "refuse": "would have refused",
}
"""What the log says of a request to a group that a rule has stopped."""


async def _charged(guard: Guard, exchange: Exchange) -> None:
    """Read and charge a request; say what would have been done with it."""
    group = exchange.principal.group
    try:
        guard.read(exchange)
    except UsageError as error:
        guard.metrics.would(group, "refuse")
        guard.say("would have refused", group=group, status=400, reason=str(error))
        return
    result = await guard.reserve(exchange)
    if isinstance(result, Refused):
        guard.metrics.would(group, "refuse")
        guard.say("would have refused", group=group, status=result.status, reason=result.reason)
    elif result is None:
        guard.uncharged(exchange)
        if guard.config.outage == "refuse":
            guard.metrics.would(group, "refuse")
    elif result.state != "open":
        guard.metrics.would(group, result.state)
        guard.say(WOULD[result.state], group=group, account=exchange.principal.name)


async def _judged(guard: Guard, exchange: Exchange, copy: bytes) -> None:
    """Judge the copy of an answer that was passed on; then record its end."""
    try:
        form = exchange.form
        assert form is not None
        group = exchange.principal.group
        answer = guard.answer(exchange)
        judge = _events if exchange.streams else _whole
        try:
            await guard.work.run(group, judge, answer, copy)
        except (BadAnswer, BadEvents, ValueError, RecursionError):
            guard.fault("rubbish")
            guard.metrics.would(group, "refuse")
        if answer.withheld is not None:
            guard.withheld(exchange, answer.withheld)
            guard.metrics.would(group, "withhold")
        guard.metrics.held(answer.most)
        exchange.texts = answer.released
        if isinstance(form, forms.Alphabet) and not exchange.streams:
            payload = json.loads(copy)
            if list(forms.symbols_of(form, 200, payload)) != raw_texts(payload):
                guard.metrics.would(group, "replace")
    except ValueError:
        guard.metrics.would(exchange.principal.group, "replace")
    finally:
        exchange.recorded = False
        guard.ended(exchange)


def _whole(answer: JudgedAnswer, copy: bytes) -> None:
    answer.whole(json.loads(copy))


def _events(answer: JudgedAnswer, copy: bytes) -> None:
    reader = EventReader()
    try:
        _fed(answer, reader, copy)
    finally:
        answer.judged()  # what came before a fault was passed on too


def _fed(answer: JudgedAnswer, reader: EventReader, copy: bytes) -> None:
    for data in (*reader.feed(copy), *reader.finish()):
        if data.strip() == "[DONE]":
            break
        answer.event(data, more=True)
    answer.rest()

"""Answers that are enforced: declared symbols, texts with a verdict, or an error that says nothing.

Whatever the model's server sends, a client gets one of the answers that were charged.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from hartley.core.errors import UsageError
from hartley.guard import decoys, forms
from hartley.guard.exchange import (
    SERVER,
    Exchange,
    Rejected,
    earlier,
    error_text,
    outage,
    upstream_error,
)
from hartley.guard.protocols import Refused
from hartley.guard.requests import compact
from hartley.guard.sse import BadEvents, EventReader
from hartley.guard.stream_judge import Withhold
from hartley.guard.streaming import BadAnswer, JudgedAnswer
from hartley.guard.upstream import MOST_ANSWER_BYTES, UpstreamFault, pieces, plain, whole

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from hartley.guard.proxy import Guard

MOST_TIMED_BYTES = 2**16
"""Bytes of an answer whose moment is declared: reading a longer one would hold up other answers."""

LARGE = 65_536
"""Bytes of an answer from which on it is judged in a thread, beside other answers."""

DRAWS = random.SystemRandom()

EVENTS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", **SERVER}


async def enforced(guard: Guard, exchange: Exchange) -> web.StreamResponse:
    """Answer a request with what may leave.

    Raises:
        Rejected: it is not valid, not paid for, or has no answer.
    """
    try:
        guard.read(exchange)
    except UsageError as error:
        raise Rejected(400, "invalid_request_error", str(error)) from None
    result = await guard.reserve(exchange)
    if isinstance(result, Refused):
        raise Rejected(result.status, "budget_error", result.reason)
    if result is None:
        if guard.config.outage == "refuse":
            raise outage()
        guard.uncharged(exchange)
    form = exchange.form
    assert form is not None
    if exchange.state == "refuse":
        # The rule that refuses has seen answers, so that its refusal is one of the charged ones.
        return await _refused(guard, exchange)
    content = forms.forwarded(form, exchange.content)
    streams = exchange.streams and not form.whole and exchange.state != "coarsen"
    if not streams:
        content.pop("stream", None)
        content.pop("stream_options", None)
    if guard.config.decoys:
        content, exchange.planted = decoys.plant(content, guard.config.decoys)
    body = compact(content).encode()
    if form.whole:
        return await _declared(guard, exchange, body)
    if streams:
        return await _streamed(guard, exchange, body)
    return await _judged(guard, exchange, body)


async def _refused(guard: Guard, exchange: Exchange) -> web.StreamResponse:
    """Answer with a refusal, as a model of the group's answers could, and without asking it."""
    assert exchange.form is not None
    exchange.outcome = "refused_by_rule"
    await guard.begin(exchange)
    form = exchange.form
    if isinstance(form, forms.Alphabet) and form.delay_ms:
        now = asyncio.get_running_loop().time()
        await asyncio.sleep(exchange.read_at + form.leaves_at(math.inf, DRAWS.random()) - now)
    else:
        await _slow(guard, exchange)
    return _symbols(exchange, forms.refused(form))


def _symbols(exchange: Exchange, symbols: Sequence[forms.Symbol]) -> web.Response:
    """Return the response with symbols, and nothing else that depends on the model."""
    content, number, created = exchange.content, exchange.number, exchange.created
    if exchange.streams:
        events = forms.sent_events(content, symbols, number=number, created=created)
        return web.Response(body=events, headers=EVENTS)
    return _json(forms.response(content, symbols, number=number, created=created))


async def _slow(guard: Guard, exchange: Exchange) -> None:
    """Wait where the group is slowed or worse."""
    if exchange.state != "open":
        await asyncio.sleep(guard.config.rules.slow_ms / 1000)


async def _payload(
    guard: Guard, exchange: Exchange, body: bytes, most: int = MOST_ANSWER_BYTES
) -> tuple[int, Any, int]:
    """Return status, JSON and bytes of a whole response; 502 and None where there is none."""
    response: ClientResponse | None = None
    clock = asyncio.get_running_loop().time
    try:
        response = await guard.ask(exchange, body)
        raw = await whole(response, most)
        if not plain(response):
            raise UpstreamFault("rubbish")
        return response.status, json.loads(raw), len(raw)
    except UpstreamFault as fault:
        if response is not None:
            guard.fault(fault.kind)
        return 502, None, 0
    except (ValueError, RecursionError):
        guard.fault("rubbish")
        return 502, None, 0
    finally:
        exchange.waited = clock() - exchange.sent_at
        if response is not None:
            # Closes the connection, unless the response was read to its end.
            response.close()


async def _declared(guard: Guard, exchange: Exchange, body: bytes) -> web.StreamResponse:
    """Answer with declared symbols, or with texts alone, in a response written anew."""
    form = exchange.form
    assert form is not None
    declared = form if isinstance(form, forms.Alphabet) else None
    timed = declared if declared is not None and declared.delay_ms else None
    if timed:
        # A client that hangs up has seen how long it took: the answer counts from here on.
        await guard.begin(exchange)
    status, payload = 502, None
    try:
        # From the arrival on: what the guard still did with earlier answers depends on them.
        async with asyncio.timeout_at(
            exchange.read_at + timed.steps * timed.delay_ms / 1000 if timed else None
        ):
            most = MOST_TIMED_BYTES if timed else MOST_ANSWER_BYTES
            status, payload, _size = await _payload(guard, exchange, body, most)
    except TimeoutError:
        guard.fault("late")
    if payload is not None and status != 200:
        guard.fault("status", status=status)
    symbols: Sequence[forms.Symbol] = forms.symbols_of(form, status, payload)
    exchange.outcome = "answered"
    exchange.texts = raw_texts(payload)
    if declared is None:
        symbols = _texts_judged(guard, exchange, symbols)
    elif exchange.state == "coarsen":
        symbols = forms.refused(form)
        exchange.outcome = "coarsened"
    exchange.left = [symbol for symbol in symbols if symbol is not None]
    await guard.begin(exchange)
    if timed:
        # A group that is slowed waits for the last step: time of its own would not be charged.
        now = asyncio.get_running_loop().time()
        elapsed = now - exchange.read_at if exchange.state == "open" else math.inf
        await asyncio.sleep(exchange.read_at + timed.leaves_at(elapsed, DRAWS.random()) - now)
    else:
        await _slow(guard, exchange)
    return _symbols(exchange, symbols)


def raw_texts(payload: Any) -> list[str]:
    """Return the texts of a model's whole response, as decoys are searched in them."""
    rows = payload.get("choices") if isinstance(payload, dict) else None
    texts = []
    for row in rows if isinstance(rows, list) else ():
        message = row.get("message", row) if isinstance(row, dict) else None
        if isinstance(message, dict):
            given = (message.get("content"), message.get("text"))
            texts += [text for text in given if isinstance(text, str)]
    return texts


def _json(content: Any) -> web.Response:
    return web.Response(body=compact(content).encode(), content_type="application/json")


def _texts_judged(
    guard: Guard, exchange: Exchange, symbols: Sequence[forms.Symbol]
) -> Sequence[forms.Symbol]:
    """Return texts that may leave, or a refusal of all."""
    judge = guard.judges(earlier(exchange.content))
    verdicts = []
    for place, text in enumerate(symbols):
        verdicts += judge.feed(text or "", "content", place)
    for verdict in (*verdicts, *judge.finish()):
        if isinstance(verdict, Withhold):
            exchange.outcome = "withheld"
            guard.withheld(exchange, verdict)
            return (None,) * len(symbols)
    return symbols


async def _judged(guard: Guard, exchange: Exchange, body: bytes) -> web.StreamResponse:
    """Answer with a whole response of free text that was judged."""
    status, payload, size = await _payload(guard, exchange, body)
    answer = guard.answer(exchange)
    written: dict[str, Any] | None = None
    try:
        if status == 200 and size > LARGE:
            group = exchange.principal.group
            written = await guard.work.run(group, answer.whole, payload)
        elif status == 200:
            written = answer.whole(payload)
    except BadAnswer:
        guard.fault("rubbish")
        status = 502
    guard.metrics.held(answer.most)
    await guard.begin(exchange)
    await _slow(guard, exchange)
    if status != 200:
        exchange.outcome = "upstream_error"
        raise upstream_error(status)
    exchange.outcome = "answered"
    exchange.texts = answer.released
    if answer.withheld is not None or written is None:
        exchange.outcome = "withheld"
        if answer.withheld is not None:
            guard.withheld(exchange, answer.withheld)
        assert exchange.form is not None
        return _symbols(exchange, forms.refused(exchange.form))
    if exchange.streams:
        return web.Response(body=as_events(written, chat=exchange.chat), headers=EVENTS)
    return _json(written)


def as_events(written: dict[str, Any], *, chat: bool) -> bytes:
    """Return a whole response as events: one for each choice, and the end."""
    rows = []
    head = {key: value for key, value in written.items() if key not in ("choices", "usage")}
    for choice in written.get("choices", ()):
        row = dict(choice)
        if chat:
            row["delta"] = row.pop("message")
            for number, call in enumerate(row["delta"].get("tool_calls") or ()):
                call["index"] = number
        rows.append(row)
    events = [{**head, "choices": [row]} for row in rows]
    lines = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    return b"".join([*lines, b"data: [DONE]\n\n"])


async def _streamed(guard: Guard, exchange: Exchange, body: bytes) -> web.StreamResponse:
    """Answer with events, each of which holds what the judge has released."""
    stream = web.StreamResponse(headers=EVENTS)
    answer = guard.answer(exchange)
    response: ClientResponse | None = None
    end = b"data: [DONE]\n\n"
    try:
        response = await guard.ask(exchange, body)
        if response.status != 200:
            await guard.begin(exchange)
            exchange.outcome = "upstream_error"
            raise upstream_error(response.status)
        if not plain(response) or response.content_type != "text/event-stream":
            raise BadAnswer("the answer is not events")
        end = await _released(guard, exchange, response, answer, stream) + end
        exchange.outcome = "withheld" if answer.withheld else "answered"
    except (UpstreamFault, BadAnswer, BadEvents) as fault:
        # Without a response, the fault was counted where it was asked for.
        if response is not None:
            guard.fault(fault.kind if isinstance(fault, UpstreamFault) else "rubbish")
        exchange.outcome = "upstream_error"
        if not exchange.prepared:
            await guard.begin(exchange)
            raise upstream_error(502) from None
        end = b"data: " + error_text(upstream_error(502)) + b"\n\n"
    finally:
        exchange.texts = answer.released
        guard.metrics.held(answer.most)
        if response is not None:
            # Where an answer is cut, the model's server sees the connection end.
            response.close()
    if not exchange.prepared:
        await _send(guard, exchange, stream, b"")
    guard.ended(exchange)
    # In one write with the end of the body: each wakes the client.
    await stream.write_eof(end)
    return stream


async def _released(
    guard: Guard,
    exchange: Exchange,
    response: ClientResponse,
    answer: JudgedAnswer,
    stream: web.StreamResponse,
) -> bytes:
    """Send what is released of an answer, until it ends or may not go on; return its last part.

    Raises:
        UpstreamFault, BadAnswer, BadEvents: the answer broke off, or is not one.
    """
    reader = EventReader()
    clock = asyncio.get_running_loop().time
    async for piece in pieces(response):
        if not exchange.prepared:
            exchange.waited = clock() - exchange.sent_at
        text, done, fault = _leaving(reader, answer, piece)
        if answer.withheld:
            guard.withheld(exchange, answer.withheld)
        if answer.withheld or done:
            return text
        if text:
            await _send(guard, exchange, stream, text)
        if fault is not None:
            raise fault
    if not answer.ended:
        raise UpstreamFault("broken")
    return b""


def _leaving(
    reader: EventReader, answer: JudgedAnswer, piece: bytes
) -> tuple[bytes, bool, ValueError | None]:
    """Return what is released with a piece, whether the answer ended, and what is wrong with it.

    What has its verdict before a fault is the same in whatever pieces the answer came.
    """
    leaving = []
    fault: ValueError | None = None
    done = False
    try:
        for data in reader.feed(piece):
            done = data.strip() == "[DONE]"
            leaving.append(answer.rest() if done else answer.event(data, more=True))
            if done or answer.withheld:
                break
    except (BadAnswer, BadEvents) as error:
        fault = error
    leaving.append(answer.judged())
    return b"".join(leaving), done, None if answer.withheld else fault


async def _send(guard: Guard, exchange: Exchange, stream: web.StreamResponse, text: bytes) -> None:
    """Send a part of an answer; before the first one, mark it."""
    if not exchange.prepared:
        await guard.begin(exchange)
        await _slow(guard, exchange)
        exchange.prepared = True
        await stream.prepare(exchange.request)
    if text:
        await stream.write(text)

"""Answers that are enforced: declared symbols, texts with a verdict, or an error that says nothing.

Whatever the model's server sends, a client gets one of the answers that were charged.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from aiohttp import web

from hartley.core.errors import UsageError
from hartley.guard import decoys, forms
from hartley.guard.exchange import (
    Exchange,
    Rejected,
    error_text,
    outage,
    upstream_error,
)
from hartley.guard.protocols import Refused, Withhold
from hartley.guard.sse import BadEvents, EventReader
from hartley.guard.streaming import BadAnswer, JudgedAnswer
from hartley.guard.upstream import UpstreamFault, pieces, plain, whole

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from hartley.guard.proxy import Guard

LARGE = 65_536
"""Bytes of an answer from which on it is judged in a thread, beside other answers."""

EVENTS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


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
        guard.metrics.uncharged()
        guard.say("uncharged", group=exchange.principal.group)
    form = exchange.form
    assert form is not None
    content = forms.forwarded(form, exchange.content)
    coarse = exchange.state in ("coarsen", "refuse")
    streams = exchange.streams and not coarse
    if not streams and content.pop("stream", None) is not None:
        content.pop("stream_options", None)
    if guard.config.decoys:
        content, exchange.planted = decoys.plant(content, guard.config.decoys)
    body = json.dumps(content, separators=(",", ":")).encode()
    if form.whole:
        return await _declared(guard, exchange, body, coarse=coarse)
    if streams:
        return await _streamed(guard, exchange, body)
    return await _judged(guard, exchange, body)


async def _slow(guard: Guard, exchange: Exchange) -> None:
    """Wait where the group is slowed or worse."""
    if exchange.state != "open":
        await asyncio.sleep(guard.config.rules.slow_ms / 1000)


async def _payload(guard: Guard, exchange: Exchange, body: bytes) -> tuple[int, Any, int]:
    """Return status, JSON and bytes of a whole response; 502 and None where there is none."""
    response: ClientResponse | None = None
    clock = asyncio.get_running_loop().time
    try:
        response = await guard.ask(exchange, body)
        raw = await whole(response)
        if not plain(response):
            raise UpstreamFault("rubbish")
        return response.status, json.loads(raw), len(raw)
    except UpstreamFault as fault:
        if response is not None:
            guard.metrics.fault(fault.kind)
        return 502, None, 0
    except (ValueError, RecursionError):
        guard.metrics.fault("rubbish")
        return 502, None, 0
    finally:
        exchange.waited = clock() - exchange.asked
        if response is not None:
            # Closes the connection, unless the response was read to its end.
            response.close()


async def _declared(
    guard: Guard, exchange: Exchange, body: bytes, *, coarse: bool
) -> web.StreamResponse:
    """Answer with declared symbols, or with texts alone, in a response written anew."""
    form = exchange.form
    assert form is not None
    alphabet = form if isinstance(form, forms.Alphabet) else None
    steps = alphabet.steps if alphabet and alphabet.delay_ms else 0
    delay = alphabet.delay_ms / 1000 if alphabet and steps else 0.0
    status, payload = 502, None
    start = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(steps * delay if steps else None):
            status, payload, _size = await _payload(guard, exchange, body)
    except TimeoutError:
        guard.metrics.fault("late")
    symbols = forms.symbols_of(form, status, payload)
    exchange.outcome = "answered"
    if alphabet is None:
        symbols = _texts_judged(guard, exchange, symbols)
    elif coarse:
        symbols = (alphabet.otherwise,) * len(symbols)
        exchange.outcome = "coarsened"
    exchange.texts = [_text(symbol) for symbol in symbols]
    await guard.begin(exchange)
    await _slow(guard, exchange)
    if steps:
        now = asyncio.get_running_loop().time()
        step = min(steps, int((now - start) / delay) + 1)
        await asyncio.sleep(start + step * delay - now)
    number, created = exchange.number, exchange.created
    if exchange.streams:
        events = forms.events(exchange.content, symbols, number=number, created=created)
        return web.Response(body=events, headers=EVENTS)
    return _json(forms.response(exchange.content, symbols, number=number, created=created))


def _text(symbol: forms.Symbol) -> str:
    """Return the text of a symbol, as decoys are searched in it."""
    if symbol is None:
        return ""
    return symbol if isinstance(symbol, str) else f"{symbol.tool} {symbol.arguments}"


def _json(content: Any) -> web.Response:
    body = json.dumps(content, separators=(",", ":")).encode()
    return web.Response(body=body, content_type="application/json")


def _texts_judged(
    guard: Guard, exchange: Exchange, symbols: tuple[forms.Symbol, ...]
) -> tuple[forms.Symbol, ...]:
    """Return texts that may leave, or a refusal of all."""
    judge = guard.judges()
    for place, symbol in enumerate(symbols):
        if isinstance(symbol, str):
            channel = (place, "content")
            for verdict in (*judge.feed(channel, symbol), *judge.finish(channel)):
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
            written = await asyncio.to_thread(answer.whole, payload)
        elif status == 200:
            written = answer.whole(payload)
    except BadAnswer:
        guard.metrics.fault("rubbish")
        status = 502
    guard.metrics.held(answer.most)
    await guard.begin(exchange)
    await _slow(guard, exchange)
    if status != 200:
        exchange.outcome = "upstream_error"
        raise upstream_error(status)
    exchange.outcome = "answered"
    if answer.withheld is not None:
        exchange.outcome = "withheld"
        guard.withheld(exchange, answer.withheld)
        refusals: tuple[forms.Symbol, ...] = (None,) * answer.choices
        written = forms.response(
            exchange.content, refusals, number=exchange.number, created=exchange.created
        )
    exchange.texts = answer.released if answer.withheld is None else []
    if exchange.streams:
        return web.Response(body=as_events(written or {}, chat=exchange.chat), headers=EVENTS)
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
        await _released(guard, exchange, response, answer, stream)
        exchange.outcome = "withheld" if answer.withheld else "answered"
    except (UpstreamFault, BadAnswer, BadEvents) as fault:
        # Without a response, the fault was counted where it was asked for.
        if response is not None:
            guard.metrics.fault(fault.kind if isinstance(fault, UpstreamFault) else "rubbish")
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
    await _send(guard, exchange, stream, end)
    await stream.write_eof()
    return stream


async def _released(
    guard: Guard,
    exchange: Exchange,
    response: ClientResponse,
    answer: JudgedAnswer,
    stream: web.StreamResponse,
) -> None:
    """Send what is released of an answer, until it ends or may not go on.

    Raises:
        UpstreamFault, BadAnswer, BadEvents: the answer broke off, or is not one.
    """
    reader = EventReader()
    clock = asyncio.get_running_loop().time
    async for piece in pieces(response):
        if not exchange.prepared:
            exchange.waited = clock() - exchange.asked
        leaving, done = [], False
        for data in reader.feed(piece):
            done = data.strip() == "[DONE]"
            leaving.append(answer.rest() if done else answer.event(data))
            if done or answer.withheld:
                break
        text = b"".join(leaving)
        if text:
            await _send(guard, exchange, stream, text)
        if answer.withheld:
            guard.withheld(exchange, answer.withheld)
        if answer.withheld or done:
            return
    if not answer.ended:
        raise UpstreamFault("broken")


async def _send(
    guard: Guard, exchange: Exchange, stream: web.StreamResponse, text: bytes
) -> None:
    """Send a part of an answer; before the first one, mark it."""
    if not exchange.prepared:
        await guard.begin(exchange)
        await _slow(guard, exchange)
        exchange.prepared = True
        await stream.prepare(exchange.request)
    if text:
        await stream.write(text)

"""The proxy: no request reaches the model uncharged, and no byte of it a client unjudged.

Each request is authenticated, read, charged durably and forwarded; its answer is judged, its first
byte is marked durably, and then it is delivered. A step that fails ends the request. In a dry run
all of it is counted beside an exchange whose bytes are passed on as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aiohttp import web

from hartley.core.errors import UsageError
from hartley.guard import decoys, forms
from hartley.guard.authentication import Authentication
from hartley.guard.charge import charge_of
from hartley.guard.config import LOOPBACK
from hartley.guard.enforcing import enforced
from hartley.guard.exchange import (
    SERVER,
    Exchange,
    Rejected,
    earlier,
    error_response,
    outage,
)
from hartley.guard.fair_work import FairWork
from hartley.guard.ledger import LedgerError
from hartley.guard.metrics import Metrics
from hartley.guard.protocols import Refused
from hartley.guard.requests import read_key, read_request
from hartley.guard.stream_judge import Withhold
from hartley.guard.streaming import JudgedAnswer, Judging
from hartley.guard.upstream import Upstream, UpstreamFault, whole
from hartley.guard.watching import watched

if TYPE_CHECKING:
    from aiohttp import ClientResponse

    from hartley.guard.config import GuardConfig
    from hartley.guard.protocols import Ledger, Reservation

LOG = logging.getLogger("hartley.guard")

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

LEDGER_S = 10.0
"""Seconds that a call of the ledger may take before it counts as failed."""

NOTE_TRIES, NOTE_S = 60, 1.0
"""How often, and after how many seconds, a note for the audit log is tried again."""

MOST_SEARCHED = 512
"""Characters of a declared answer, as the model wrote it, in which decoys are searched."""

HEALTH_S = 1.0
"""Seconds for which an answer about the ledger's health is given again."""


class Guard:
    """The proxy of one configuration.

    Attributes:
        config: what it keeps to.
        metrics: its counters.
        work: what is read beside the answers, groups in turn.
        draining: whether it ends: what runs is finished, nothing new is taken.
        active: requests that are being answered.
    """

    def __init__(
        self,
        config: GuardConfig,
        ledger: Ledger,
        judges: Callable[[Sequence[str]], Judging],
    ) -> None:
        """Take its parts; nothing is connected yet.

        Args:
            config: what it keeps to.
            ledger: of the charges.
            judges: makes the judge of one response, from the earlier answers of its conversation.
        """
        self.config, self._ledger, self.judges = config, ledger, judges
        self._keys = Authentication(config)
        self._upstream = Upstream(config)
        self.metrics = Metrics(config)
        self.work = FairWork()
        self.draining = False
        self.active = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._evidence: dict[str, set[asyncio.Task[None]]] = {}
        self._models: bytes | None = None
        self._health: tuple[float, str] = (float("-inf"), "")
        self._answers: dict[tuple[str, str], Answer] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("POST", "/v1/completions"): self._completion,
        }
        for method in ("GET", "HEAD"):
            self._answers[method, "/v1/models"] = self._list_models
            self._answers[method, "/health"] = self._say_health
            self._answers[method, "/metrics"] = self._say_metrics

    async def start(self) -> None:
        """Connect, inside the loop that serves."""
        await self._upstream.start()

    async def close(self) -> None:
        """Finish what waits, and close every connection and the ledger."""
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._upstream.close()
        await self._ledger.close()
        self.work.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer any request, by its method and path."""
        answer = self._answers.get((request.method, request.rel_url.raw_path), self._nothing)
        try:
            response = await answer(request)
        except ConnectionError:
            # The client is gone: its exchange is recorded, and there is nobody to be answered.
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if not response.prepared:
            response.headers.update(SERVER)
        return response

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._taken(request, "/chat/completions")

    async def _completion(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._taken(request, "/completions")

    async def _nothing(self, _request: web.BaseRequest) -> web.StreamResponse:
        self.metrics.ended("", "not_found")
        return error_response(Rejected(404, "not_found_error", "there is nothing at this address"))

    async def _taken(self, request: web.BaseRequest, path: str) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        self.active += 1
        exchange: Exchange | None = None
        group = ""
        try:
            principal = self._keys.principal(request.headers.get("Authorization"))
            if principal is None:
                raise Rejected(401, "authentication_error", "the key is not that of an account")
            group = principal.group
            if self.draining:
                raise Rejected(503, "unavailable_error", "the guard is about to end")
            arrived = asyncio.get_running_loop().time()
            body = await self._body(request)
            exchange = Exchange(principal, request, path, body, arrived)
            answer = enforced if self.config.enforces else watched
            return await answer(self, exchange)
        except Rejected as rejection:
            self._rejected(rejection, exchange, group)
            return error_response(rejection)
        except (asyncio.CancelledError, ConnectionError):
            raise
        except Exception as error:
            # The text of an error may hold parts of a prompt or of an answer.
            self.say("internal error", error=type(error).__name__, place=_place(error))
            if exchange is not None:
                exchange.outcome = "internal_error"
                if exchange.prepared and request.transport is not None:
                    request.transport.abort()
                    raise ConnectionAbortedError from None
            failure = Rejected(500, "internal_error", "the guard failed and passed nothing on")
            return error_response(failure)
        finally:
            self.active -= 1
            if exchange is not None:
                self.ended(exchange)

    def _rejected(self, rejection: Rejected, exchange: Exchange | None, group: str) -> None:
        if exchange is None:
            self.metrics.ended(group, f"refused_{rejection.status}")
        elif exchange.outcome == "hung_up":
            exchange.outcome = f"refused_{rejection.status}"
        self.say("refused", group=group, status=rejection.status, reason=rejection.message)

    async def _body(self, request: web.BaseRequest) -> bytes:
        """Return the body of a request, of which no more than the limit is read."""
        limit = self.config.max_body
        over = Rejected(413, "invalid_request_error", f"the body must have at most {limit} bytes")
        if (request.content_length or 0) > limit:
            raise over
        coding = request.headers.get("Content-Encoding", "identity").strip().lower()
        if coding not in ("", "identity"):
            raise Rejected(415, "invalid_request_error", "the body must not be compressed")
        await _expected(request)
        if request.content.is_eof():
            body = request.content.read_nowait()
            if len(body) > limit:
                raise over
            return body
        parts, size = [], 0
        try:
            async with asyncio.timeout(self.config.timeout_s):
                async for piece in request.content.iter_any():
                    size += len(piece)
                    if size > limit:
                        raise over
                    parts.append(piece)
        except TimeoutError:
            raise Rejected(408, "invalid_request_error", "the body came too slowly") from None
        return b"".join(parts)

    def read(self, exchange: Exchange) -> None:
        """Read a request, and find the form of its answers and its charge.

        Raises:
            UsageError: it is not valid.
        """
        content = read_request(exchange.body)
        stream = content.get("stream")
        if stream is not None and not isinstance(stream, bool):
            raise UsageError("stream must be true or false")
        wanted, other = ("messages", "prompt") if exchange.chat else ("prompt", "messages")
        if wanted not in content or other in content:
            raise UsageError(f"the body must have {wanted}, and not {other}")
        exchange.key = read_key(exchange.request.headers.get("Idempotency-Key"))
        exchange.form = forms.form_of(self.config, content)
        exchange.charge = charge_of(self.config, content, exchange.form)
        exchange.content = content

    async def reserve(self, exchange: Exchange) -> Reservation | Refused | None:
        """Charge a request that was read, durably; None where the ledger has failed."""
        if exchange.charge is None:
            return None
        facts: dict[str, Any] = {
            "model": str(exchange.content.get("model"))[:200],
            "path": exchange.path,
            "mode": self.config.mode,
        }
        if self.config.log_prompts:
            facts["request"] = exchange.body.decode("utf-8", "replace")
        digest = hashlib.sha256(exchange.path.encode() + b"\n" + exchange.body).hexdigest()
        group = exchange.principal.group
        timed = isinstance(exchange.form, forms.Alphabet) and exchange.form.delay_ms
        if (waiting := self._evidence.get(group)) and not timed:
            # What earlier answers of the group have shown counts before the next one, but for
            # answers whose moment is declared: how long it takes depends on the earlier ones.
            await asyncio.wait(tuple(waiting))
        try:
            async with asyncio.timeout(LEDGER_S):
                result = await self._ledger.reserve(
                    exchange.key,
                    exchange.principal.name,
                    group,
                    exchange.charge,
                    digest=digest,
                    facts=facts,
                )
        except Exception as error:
            self._failed("reserve", error)
            return None
        if not isinstance(result, Refused):
            exchange.reservation = result
            self.metrics.charged(group, result.bits, guaranteed=exchange.charge.guaranteed)
            self.metrics.state(group, result.state)
        return result

    async def begin(self, exchange: Exchange) -> None:
        """Mark the first byte durably, before it is sent.

        Raises:
            Rejected: another answer to the same Idempotency-Key was faster, or the ledger has
                failed and the configuration does not forward then.
        """
        if exchange.began:
            return
        first = True
        if exchange.reservation is not None:
            try:
                async with asyncio.timeout(LEDGER_S):
                    first = await self._ledger.begin(exchange.reservation.id)
            except Exception as error:
                self._failed("begin", error)
                if self.config.outage == "refuse" and self.config.enforces:
                    exchange.outcome = "refused_503"
                    raise outage() from error
        if not first and self.config.enforces:
            exchange.outcome = "refused_409"
            raise Rejected(409, "conflict_error", "this Idempotency-Key was answered before")
        exchange.began = True
        now = asyncio.get_running_loop().time()
        self.metrics.added(now - exchange.arrived - exchange.waited)

    def ended(self, exchange: Exchange) -> None:
        """Record how an answer ended, once, before its last byte leaves.

        The ledger takes its calls in order, so that a request that follows the answer is judged by
        what the answer has shown.
        """
        if exchange.recorded:
            return
        exchange.recorded = True
        self.metrics.ended(exchange.principal.group, exchange.outcome)
        if exchange.reservation is not None:
            group = exchange.principal.group
            task = self.later(self._finish(exchange, exchange.reservation.id))
            if exchange.planted is not None:
                waiting = self._evidence.setdefault(group, set())
                waiting.add(task)
                task.add_done_callback(waiting.discard)

    async def _finish(self, exchange: Exchange, identity: str) -> None:
        facts = {"outcome": exchange.outcome, **exchange.facts}
        if self.config.log_prompts:
            facts["answer"] = exchange.texts
        planted = exchange.planted
        if planted is not None:
            facts["planted"] = [decoy.name for decoy in planted.decoys]
        try:
            events = []
            texts = exchange.texts
            if isinstance(exchange.form, forms.Alphabet):
                texts = ["\n".join(texts)[:MOST_SEARCHED]]
            if planted is not None and any([*texts, *(exchange.left or ())]):
                group = exchange.principal.group
                events = await self.work.run(group, decoys.shown, planted, texts, exchange.left)
            async with asyncio.timeout(LEDGER_S):
                state = await self._ledger.finish(identity, facts, events)
            self.metrics.state(exchange.principal.group, state)
        except Exception as error:
            self._failed("finish", error)

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something beside the answers; the guard does not end before it."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _failed(self, call: str, error: Exception) -> None:
        self.metrics.failed(call)
        # Texts of other errors could hold what a request held.
        reason = {"reason": str(error)} if isinstance(error, LedgerError) else {}
        self.say("ledger failed", call=call, error=type(error).__name__, **reason)

    def fault(self, kind: str, **facts: Any) -> None:
        """Count and log that the model's server failed: a declared answer does not show it."""
        self.metrics.fault(kind)
        self.say("model failed", upstream=self.config.upstream, kind=kind, **facts)

    def say(self, what: str, **facts: Any) -> None:
        """Log one line, which never holds a prompt, an answer or a key."""
        LOG.warning("%s", json.dumps({"event": what, **facts}))

    def uncharged(self, exchange: Exchange) -> None:
        """Record that a request is forwarded without a charge, since the ledger has failed."""
        self.metrics.uncharged()
        group, account = exchange.principal.group, exchange.principal.name
        self.say("uncharged", group=group, account=account)
        self.later(self._noted({"group": group, "principal": account}))

    async def _noted(self, facts: dict[str, Any]) -> None:
        """Write into the audit log what was forwarded, as soon as the ledger can be used."""
        for _ in range(NOTE_TRIES):
            with contextlib.suppress(Exception):
                await self._ledger.note("forwarded", facts)
                return
            await asyncio.sleep(NOTE_S)

    def withheld(self, exchange: Exchange, verdict: Withhold) -> None:
        """Log that an answer was withheld, or would have been."""
        exchange.facts["withheld"] = {"secret": verdict.secret, "reason": verdict.reason}
        self.say(
            "withheld" if self.config.enforces else "would have withheld",
            group=exchange.principal.group,
            account=exchange.principal.name,
            secret=verdict.secret,
            reason=verdict.reason,
        )

    def answer(self, exchange: Exchange) -> JudgedAnswer:
        """Return what judges the answer to a request that was read."""
        assert exchange.form is not None
        return JudgedAnswer(
            self.judges(earlier(exchange.content)),
            exchange.head,
            chat=exchange.chat,
            choices=exchange.form.choices,
            number=exchange.number,
        )

    async def ask(self, exchange: Exchange, body: bytes) -> ClientResponse:
        """Forward a request, and measure how long the model's server takes to answer.

        Raises:
            UpstreamFault: there is no response.
        """
        clock = asyncio.get_running_loop().time
        exchange.sent_at = clock()
        try:
            return await self._upstream.ask(exchange.path, body)
        except UpstreamFault as fault:
            self.fault(fault.kind)
            raise
        finally:
            exchange.waited = clock() - exchange.sent_at

    async def _list_models(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer with the names of models, as they were when they were first asked for."""
        if self._keys.principal(request.headers.get("Authorization")) is None:
            rejection = Rejected(401, "authentication_error", "the key is not that of an account")
            self._rejected(rejection, None, "")
            return error_response(rejection)
        bounded = bool(self.config.forms) or self.config.free_text.guarantee
        if self._models is None and self.config.enforces and bounded:
            # Where answers are bounded, nothing that the model's server says leaves uncharged.
            names = [name for name in self.config.forms if name != "*"]
            self._models = _list_of_models(names)
        if self._models is None:
            self._models = await self._names_of_models()
        if self._models is None:
            return error_response(Rejected(502, "upstream_error", "the models are not known"))
        return web.Response(body=self._models, content_type="application/json")

    async def _names_of_models(self) -> bytes | None:
        """Return the models' names alone, each judged; None where there are none."""
        try:
            response = await self._upstream.ask("/models", None)
            try:
                content = json.loads(await whole(response, MOST_MODEL_BYTES))
            finally:
                response.close()
            names = [row["id"] for row in content["data"] if isinstance(row["id"], str)]
        except (UpstreamFault, ValueError, RecursionError, TypeError, KeyError):
            return None
        judge = self.judges(())
        verdicts = [*judge.feed("\n".join(names)), *judge.finish()]
        if any(isinstance(verdict, Withhold) for verdict in verdicts):
            return None
        return _list_of_models(names)

    async def _say_health(self, _request: web.BaseRequest) -> web.StreamResponse:
        """Answer whether requests are served; the ledger is asked at most once a second."""
        now = asyncio.get_running_loop().time()
        if now - self._health[0] >= HEALTH_S:
            try:
                async with asyncio.timeout(LEDGER_S):
                    fault = await self._ledger.health()
            except Exception as error:
                fault = type(error).__name__
            self._health = (now, fault)
        fault = self._health[1]
        ready = not fault and not self.draining
        content = {
            "status": "ok" if ready else ("draining" if self.draining else "outage"),
            "mode": self.config.mode,
            "outage": self.config.outage,
        }
        return web.json_response(content, status=200 if ready else 503)

    async def _say_metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        transport = request.transport
        peer: Any = transport.get_extra_info("peername") if transport is not None else None
        # Counts of what was withheld or replaced depend on answers, and clients may be here too.
        here = bool(peer) and peer[0] in LOOPBACK and not self.config.enforces
        if not self._keys.may_read_metrics(request.headers.get("Authorization"), here=here):
            return error_response(Rejected(401, "authentication_error", "the key is not valid"))
        return web.Response(body=self.metrics.text(), content_type="text/plain", charset="utf-8")


def say_trip(trip: Mapping[str, Any]) -> None:
    """Log that a rule has tripped: whose, which, and by what."""
    LOG.warning("%s", json.dumps({"event": "tripped", **trip}))


MOST_MODEL_BYTES = 2**20
"""Bytes of a list of models, at most."""


async def _expected(request: web.BaseRequest) -> None:
    """Let a client send a body that it waits with; one that is refused by its size is not sent."""
    expected = request.headers.get("Expect")
    if expected is None:
        return
    if expected.lower() != "100-continue" or request.version < (1, 1):
        raise Rejected(417, "invalid_request_error", "Expect must be 100-continue")
    transport = request.transport
    if transport is not None:
        transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def _place(error: Exception) -> str:
    """Return where an error was raised, without its text."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    code = trace.tb_frame.f_code
    return f"{code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}"


def _list_of_models(names: Sequence[str]) -> bytes:
    rows = [{"id": name, "object": "model", "created": 0, "owned_by": "upstream"} for name in names]
    return json.dumps({"object": "list", "data": rows}).encode()

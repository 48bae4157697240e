"""Forms of answers: which observations a client can make of one answer, as many as are declared.

A declared alphabet is enforced by building the whole response anew from the declared symbols. What
a model could vary is either part of the symbol or the same for all: status, headers, id, time of
creation, usage, finish reason, log-probabilities, the order and number of chunks. What a response
leaves open is its time, unless answers leave at multiples of a declared delay.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from hartley.guard.config import AnswerForm, GuardConfig

MOST_CHOICES = 128
"""Choices that one request may ask for."""

JITTER = 0.25
"""Share of a delay by which an answer leaves later than a multiple of it, at most."""

REFUSAL = "The answer was refused."
"""What a client reads for the symbol of refusal, the same for every reason."""

_DROPPED = frozenset(
    {"logprobs", "top_logprobs", "stream", "stream_options", "echo", "best_of", "suffix"}
    | {"modalities", "audio", "prediction", "store", "metadata"}
    | {"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"}
)
"""Fields that would change the shape of a response. A call of a tool is never declared."""

Symbol = str | None
"""A declared text, or None: the one symbol of refusal."""


@dataclass(frozen=True, slots=True)
class Alphabet:
    """A declared alphabet of answers.

    Attributes:
        symbols: distinct observations of one choice.
        otherwise: what an answer that is not declared becomes, an error of the model, a late answer
            and a refusal by a rule or the judge: to a client they are all the same.
        choices: choices in one response.
        delay_ms: answers leave at multiples of it; 0 where their time is left open.
        steps: multiples at most.
    """

    symbols: tuple[Symbol, ...]
    otherwise: Symbol
    choices: int = 1
    delay_ms: int = 0
    steps: int = 1

    @property
    def whole(self) -> bool:
        """Whether a response is built from symbols and sent at once: always."""
        return True

    @property
    def bits(self) -> float:
        """log2 of the responses that a client can distinguish, their delay included."""
        return self.choices * math.log2(len(self.symbols)) + math.log2(self.steps)

    def leaves_at(self, elapsed: float, draw: float) -> float:
        """Return when an answer leaves, in seconds since its question was forwarded.

        Args:
            elapsed: seconds until the answer was there; infinite for the last multiple.
            draw: uniform in 0..1, of a source that nobody sees. A machine is some .1 ms faster
                where it has just been busy, which shows when in a delay an answer came; a later
                moment, drawn from a quarter of the delay, hides that.
        """
        delay = self.delay_ms / 1000
        step = int(min(elapsed / delay, self.steps - 1)) + 1
        return (step + JITTER * draw) * delay


@dataclass(frozen=True, slots=True)
class FreeText:
    """Any text.

    Attributes:
        guaranteed: whether its length bounds what it can carry.
        max_tokens: that the model is asked for at most.
        max_bytes: of UTF-8 that one text may have; a longer one is cut.
        choices: choices in one response.
        whole: whether a response is built from its text alone and sent at once. Pieces, their
            number and every other field are left as they come otherwise, which only the entropy of
            all secrets bounds.
    """

    guaranteed: bool
    max_tokens: int
    max_bytes: int
    choices: int = 1
    whole: bool = False

    @property
    def bits(self) -> float:
        """log2 of the responses of at most ``max_bytes`` bytes, a refusal included."""
        return self.choices * texts_bits(self.max_bytes)


Form = Alphabet | FreeText


@lru_cache(maxsize=1)
def _growth() -> float:
    """Return the x with 128/x + 1920/x² + 61440/x³ + 1048576/x⁴ = 1, rounded up.

    The numbers are the characters of one to four bytes, surrogates left out.
    """
    low, high = 128.0, 256.0
    for _ in range(60):
        x = (low + high) / 2
        total = ((1048576 / x + 61440) / x + 1920) / x + 128
        low, high = (x, high) if total / x > 1 else (low, x)
    return math.nextafter(high, math.inf) * (1 + 1e-14)


def texts_bits(max_bytes: int) -> float:
    """Return an upper bound of log2(texts of at most ``max_bytes`` bytes of UTF-8, and a refusal).

    N(l) texts have l bytes, N(l) = 128·N(l−1) + 1920·N(l−2) + 61440·N(l−3) + 1048576·N(l−4). By
    induction N(l) ≤ x^l for the x at which the four shares sum to 1, so that all of at most L bytes
    number at most (x^(L+1) − 1)/(x − 1).
    """
    x = _growth()
    bits = (max_bytes + 1) * math.log2(x) - math.log2(x - 1)
    return bits + math.log2(1 + 2.0 ** -min(bits, 1000.0))


def form_of(config: GuardConfig, request: Mapping[str, Any]) -> Form:
    """Return the form of the answers to a request, from the config and the request alone.

    Args:
        config: of the proxy.
        request: body of a request for a chat or a completion.

    Raises:
        UsageError: the request's model, number of choices or prompts are not valid, or its model
            has no declared answers and free text is not allowed.
    """
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise UsageError(f"model must be a name, got {model!r:.80}")
    choices = _choices(request)
    declared = config.form_of(model)
    if declared is not None:
        return alphabet(declared, choices)
    free = config.free_text
    if not free.allowed:
        raise UsageError(f"model must be one that is declared, got {model!r:.80}")
    form = FreeText(free.guarantee, free.max_tokens, free.max_bytes, choices, whole=free.guarantee)
    if free.guarantee and form.bits >= entropy_of(config):
        # The entropy of all secrets is the charge: no shape of an answer can carry more.
        return replace(form, whole=False)
    return form


def alphabet(declared: AnswerForm, choices: int = 1) -> Alphabet:
    """Return the alphabet that a table ``[[answers]]`` declares."""
    symbols: dict[Symbol, None] = dict.fromkeys(declared.allowed)
    symbols[declared.otherwise] = None
    steps = declared.delay_steps if declared.delay_ms else 1
    return Alphabet(tuple(symbols), declared.otherwise, choices, declared.delay_ms, steps)


def entropy_of(config: GuardConfig) -> float:
    """Return the bits of all declared secrets, infinite where none is declared."""
    return math.fsum(row.entropy_bits for row in config.secrets) or math.inf


def _choices(request: Mapping[str, Any]) -> int:
    n = request.get("n")
    n = 1 if n is None else n
    if type(n) is not int or not 1 <= n <= MOST_CHOICES:
        raise UsageError(f"n must be a whole number from 1 to {MOST_CHOICES}, got {n!r:.80}")
    prompts = request.get("prompt")
    many = isinstance(prompts, list) and bool(prompts) and not isinstance(prompts[0], int)
    total = n * (len(prompts) if many and isinstance(prompts, list) else 1)
    if total > MOST_CHOICES:
        raise UsageError(f"n times prompts must be at most {MOST_CHOICES}, got {total}")
    return total


def coerce(form: Alphabet, answer: str) -> Symbol:
    """Return the declared text that an answer is, or what any other answer becomes.

    Space around an answer does not count; nor does case, quotation marks around it or a full stop
    after it, where they leave one declared text.
    """
    texts = [symbol for symbol in form.symbols if symbol is not None]
    plain = answer.strip()
    for text in texts:
        if plain == text.strip():
            return text
    loose = _loose(plain)
    near = [text for text in texts if _loose(text) == loose]
    return near[0] if len(near) == 1 else form.otherwise


def _loose(text: str) -> str:
    return text.strip().strip("\"'`*").rstrip(".!").strip("\"'`*").strip().casefold()


def forwarded(form: Form, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body that is forwarded for a request.

    Where a response is built anew, what would only change its shape is left out; where texts are
    limited, the limit is written in.
    """
    body = dict(request)
    if form.whole:
        for name in _DROPPED & body.keys():
            del body[name]
    if isinstance(form, FreeText) and form.guaranteed:
        for name in ("max_tokens", "max_completion_tokens"):
            if type(body.get(name)) is int:
                body[name] = min(body[name], form.max_tokens)
        if not {"max_tokens", "max_completion_tokens"} & body.keys():
            body["max_tokens"] = form.max_tokens
    return body


def symbols_of(form: Form, status: int, payload: object) -> tuple[Symbol, ...]:
    """Return the symbols (choices,) of an upstream's whole response, whatever it is.

    Args:
        form: with ``whole`` true.
        status: of the response.
        payload: its JSON, or None where there is none; nothing in it is trusted.
    """
    results = refused(form)
    choices = payload.get("choices") if isinstance(payload, dict) and status == 200 else None
    for place, choice in enumerate(choices if isinstance(choices, list) else ()):
        if isinstance(choice, dict):
            number = choice.get("index", place)
            if type(number) is int and 0 <= number < form.choices:
                results[number] = _read(form, choice)
    return tuple(results)


def refused(form: Form) -> list[Symbol]:
    """Return the symbols (choices,) of an answer that is refused, late or failed."""
    return [form.otherwise if isinstance(form, Alphabet) else None] * form.choices


def _read(form: Form, choice: Mapping[str, Any]) -> Symbol:
    message = choice.get("message")
    message = message if isinstance(message, dict) else {}
    text = message.get("content", choice.get("text"))
    if isinstance(text, list):
        parts = [part.get("text") for part in text if isinstance(part, dict)]
        text = "".join(part for part in parts if isinstance(part, str))
    if not isinstance(text, str) or message.get("tool_calls"):
        return refused(form)[0]
    return coerce(form, text) if isinstance(form, Alphabet) else cut(text, form.max_bytes)


def cut(text: str, max_bytes: int) -> str:
    """Return the start of a text that has at most ``max_bytes`` bytes of valid UTF-8."""
    return text.encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")


def response(
    request: Mapping[str, Any], symbols: Sequence[Symbol], *, number: str, created: int
) -> dict[str, Any]:
    """Return the whole response with these symbols; nothing else of it depends on the model.

    Args:
        request: as it came.
        symbols: (choices,) from :func:`symbols_of`.
        number: of the request, drawn before it was forwarded.
        created: seconds since 1970 at which the request arrived, not the answer.
    """
    chat = "messages" in request
    head = _head(request, number, created, "chat.completion" if chat else "text_completion")
    if chat:
        bodies: list[dict[str, Any]] = [
            {"index": k, "message": _message(symbol), "logprobs": None}
            for k, symbol in enumerate(symbols)
        ]
    else:
        bodies = [
            {"index": k, "text": symbol or "", "logprobs": None} for k, symbol in enumerate(symbols)
        ]
    for body, symbol in zip(bodies, symbols, strict=True):
        body["finish_reason"] = _reason(symbol)
    return {**head, "choices": bodies, "usage": dict(_USAGE)}


_USAGE = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
"""Tokens of an answer would say which model's answer became the symbol; they are not given."""


def _head(request: Mapping[str, Any], number: str, created: int, kind: str) -> dict[str, Any]:
    prefix = "chatcmpl-" if kind.startswith("chat") else "cmpl-"
    return {
        "id": prefix + number,
        "object": kind,
        "created": created,
        "model": request["model"],
    }


def _reason(symbol: Symbol) -> str:
    return "content_filter" if symbol is None else "stop"


def _message(symbol: Symbol) -> dict[str, Any]:
    refusal = REFUSAL if symbol is None else None
    return {"role": "assistant", "content": symbol, "refusal": refusal}


def sent_events(
    request: Mapping[str, Any], symbols: Sequence[Symbol], *, number: str, created: int
) -> bytes:
    """Return the same response as server-sent events, to be written at once.

    Each choice is one event with all of its symbol and one with its end, in order, so that their
    number and size say no more than the symbols do.
    """
    chat = "messages" in request
    head = _head(request, number, created, "chat.completion.chunk" if chat else "text_completion")
    chunks: list[dict[str, Any]] = []
    for k, symbol in enumerate(symbols):
        if chat:
            piece: dict[str, Any] = {"index": k, "delta": _message(symbol)}
            end: dict[str, Any] = {"index": k, "delta": {}}
        else:
            piece, end = {"index": k, "text": symbol or ""}, {"index": k, "text": ""}
        ends = ((piece, None), (end, _reason(symbol)))
        for body, reason in ends:
            choice = {**body, "logprobs": None, "finish_reason": reason}
            chunks.append({**head, "choices": [choice]})
    options = request.get("stream_options")
    if isinstance(options, dict) and options.get("include_usage"):
        chunks.append({**head, "choices": [], "usage": dict(_USAGE)})
    lines = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return b"".join([*lines, b"data: [DONE]\n\n"])

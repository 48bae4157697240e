"""A language model behind an OpenAI-compatible endpoint: log-probabilities, completions and chat.

What is used of the interface: ``/completions`` with ``echo`` and ``logprobs`` (how likely a text
is), with ``logprobs`` and ``logit_bias`` (the likeliest next tokens), ``/completions`` and
``/chat/completions`` with ``seed`` and ``n`` (sampled text), and the ``usage`` of every answer.
Requests that fail in a way that may pass are sent again; tokens are counted of the answer that
came, once. A server may have worked for a request whose answer was lost, and charge for it: the
cost counts such requests apart.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core import Access, Codec, Modality, Model, charge, spawn
from hartley.core.errors import RunError, UsageError
from hartley.kit.cache import digest
from hartley.kit.language.text import lengths, pad
from hartley.kit.next_tokens import BIAS, MOST
from hartley.kit.retry import Backoff
from hartley.targets.http_client import Client, Reply, permitted

if TYPE_CHECKING:
    from numpy.typing import NDArray

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prices:
    """What a million tokens cost, in the user's currency."""

    tokens_in: float = 0.0
    tokens_out: float = 0.0


def endpoint(
    url: str,
    model: str,
    *,
    codec: Codec | None = None,
    scores: bool = True,
    top_logprobs: int = 0,
    logit_bias: float = 0.0,
    sampling: Literal["completions", "chat"] = "completions",
    prompts: Literal["text", "tokens"] = "text",
    revision: str = "",
    deterministic: bool = False,
    key_env: str = "",
    allow_hosts: Sequence[str] = (),
    system: str = "",
    batch: int = 16,
    choices: int = 8,
    concurrency: int = 4,
    timeout: float = 60.0,
    backoff: Backoff | None = None,
    prices: Prices | None = None,
    name: str = "",
) -> Model:
    """Return a model that is asked over HTTP.

    Args:
        url: what the paths begin with, for example ``http://127.0.0.1:8000/v1``.
        model: the name under which the endpoint serves it.
        codec: text to its tokens and back; without it there is chat alone.
        scores: whether ``/completions`` says the log-probabilities of a prompt (``echo``).
        top_logprobs: log-probabilities of the likeliest next tokens that an answer gives, declared
            and never guessed; 0 where it gives none. As many as there are tokens: all of them,
            and the model has ``query`` as well, which answers with probabilities.
        logit_bias: largest number that a request may add to a logit; 0 where it takes none.
        sampling: what continues a text: completions, or chat with the text as the user's message.
        prompts: send texts, or token ids where the endpoint takes them. Texts must be split by the
            endpoint as by the codec.
        revision: which version of the model it is. Address, name and revision are its identity;
            without a revision it declares none, since an endpoint may change what it serves.
        deterministic: whether the same question always gets the same answer.
        key_env: the environment variable that holds the key; empty sends none.
        allow_hosts: hosts besides this machine that records may be sent to.
        system: a system message before each conversation.
        batch: prompts a request.
        choices: continuations of one prompt a request (``n``).
        concurrency: requests at a time, at most.
        timeout: seconds without a byte before a try has failed.
        backoff: how failures that may pass are tried again.
        prices: what tokens cost; None charges no money.
        name: what to call it in reports; the model's name if empty.

    Raises:
        UsageError: an address that is not allowed, or capabilities that need a codec.
    """
    if codec is None and scores:
        raise UsageError("scores must be False where there is no codec: scores are of tokens")
    if top_logprobs and (codec is None or top_logprobs > codec.size):
        size = "no codec" if codec is None else f"{codec.size} tokens"
        raise UsageError(f"top_logprobs must be at most the vocabulary, got {size}")
    for word, value in (("batch", batch), ("choices", choices), ("concurrency", concurrency)):
        if value < 1:
            raise UsageError(f"{word} must be at least 1, got {value}")
    address = permitted(url, allow_hosts, secret=bool(key_env))
    client = Client(address, key_env, timeout, concurrency, backoff or Backoff())
    server = _Server(client, model, codec, prompts, system, batch, choices, prices or Prices())
    generate = server.generate if sampling == "completions" else server.generate_by_chat
    place = f"{address.scheme}://{address.host}:{address.port}{address.path}"
    return Model(
        name or model,
        Modality.LANGUAGE,
        calls={
            "score": server.score if scores else None,
            "generate": generate if codec is not None else None,
            "chat": server.chat,
            "top_logprobs": server.top_logprobs if top_logprobs else None,
            "query": server.query if codec and top_logprobs == codec.size else None,
        },
        classes=codec.size if codec is not None else 0,
        codec=codec,
        identity=f"{place} {model} {revision}" if revision else "",
        deterministic=deterministic,
        offers=Access.LABELS | Access.SCORES if scores or top_logprobs else Access.LABELS,
        facts={MOST: top_logprobs, BIAS: logit_bias} if top_logprobs else None,
    )


@dataclass(frozen=True, slots=True)
class _Server:
    """The questions, as requests."""

    client: Client
    model: str
    codec: Codec | None
    prompts: str
    system: str
    batch: int
    choices: int
    prices: Prices = field(default_factory=Prices)

    def score(self, tokens: NDArray[Any]) -> NDArray[np.float64]:
        """Log-probabilities (n, t−1) of the tokens of rows (n, t), 0 at padding."""
        rows = np.asarray(tokens, dtype=np.int64)
        sizes = lengths(rows)
        out = np.zeros((len(rows), max(rows.shape[1] - 1, 0)))
        scored = np.flatnonzero(sizes > 1)
        prompts = self._prompts(rows[scored])
        groups = _cut(len(scored), self.batch)
        bodies = [
            self._body(prompt=prompts[part], max_tokens=0, echo=True, logprobs=1, temperature=0)
            for part in groups
        ]
        replies = self._asked("/completions", bodies)
        for part, reply in zip(groups, replies, strict=True):
            for i, choice in zip(
                scored[part], _choices(reply, part.stop - part.start), strict=True
            ):
                out[i, : sizes[i] - 1] = _log_probabilities(choice, int(sizes[i]))
        return out

    def top_logprobs(
        self, tokens: NDArray[Any], k: int, biased: NDArray[Any], bias: float
    ) -> NDArray[np.float64]:
        """Ids and log-probabilities (n, k, 2) of the likeliest next tokens, likeliest first.

        Prompts with the same biased tokens share a request. Token ids name the tokens where the
        endpoint takes prompts of ids (vLLM's ``return_tokens_as_token_ids``).

        Raises:
            RunError: the endpoint gives fewer than it declares, or names of several tokens.
        """
        assert self.codec is not None
        k = min(k, self.codec.size)
        rows, raised = np.asarray(tokens, dtype=np.int64), np.asarray(biased, dtype=np.int64)
        prompts = self._prompts(rows)
        alike: dict[bytes, list[int]] = {}
        for i, row in enumerate(raised):
            alike.setdefault(np.sort(row).tobytes(), []).append(i)
        bodies, places = [], []
        for same in alike.values():
            ids = [i for i in raised[same[0]].tolist() if i >= 0] if bias else []
            added: Body = {"logit_bias": {str(i): bias for i in ids}} if ids else {}
            if self.prompts == "tokens":
                added["return_tokens_as_token_ids"] = True
            for part in _cut(len(same), self.batch):
                places.append(same[part])
                some = [prompts[i] for i in same[part]]
                bodies.append(
                    self._body(prompt=some, max_tokens=1, temperature=0, logprobs=k, **added)
                )
        out = np.zeros((len(rows), k, 2))
        for place, reply in zip(places, self._asked("/completions", bodies), strict=True):
            for i, choice in zip(place, _choices(reply, len(place)), strict=True):
                out[i] = self._likeliest(choice, k)
        return out

    def query(self, tokens: NDArray[Any]) -> NDArray[np.float64]:
        """Probabilities (n, vocabulary) of the next token, of an endpoint that gives them all."""
        assert self.codec is not None
        size, n = self.codec.size, len(tokens)
        out = np.zeros((n, size))
        none = np.full((n, 1), -1)
        for part in _cut(n, self.batch * self.client.concurrency):
            top = self.top_logprobs(np.asarray(tokens)[part], size, none[part], 0.0)
            ids = top[..., 0].astype(np.int64)
            np.put_along_axis(out[part], ids, np.exp(top[..., 1]), 1)
        return out

    def _likeliest(self, choice: Mapping[str, Any], k: int) -> NDArray[np.float64]:
        top = ((choice.get("logprobs") or {}).get("top_logprobs") or [None])[0]
        if not isinstance(top, Mapping) or len(top) < k:
            given = len(top) if isinstance(top, Mapping) else "none"
            raise RunError(
                f"the endpoint must give the {k} log-probabilities that are declared, got {given}; "
                "set top_logprobs to what it gives"
            )
        values = np.array([*top.values()], dtype=np.float64)
        order = np.argsort(-values, kind="stable")[:k]
        names = [*top] if len(top) == k else [[*top][i] for i in order]
        ids = np.array([self._token_id(name) for name in names], dtype=np.float64)
        return np.stack([ids[order] if len(top) == k else ids, values[order]], 1)

    def _token_id(self, name: str) -> int:
        if name.startswith("token_id:"):
            return int(name[9:])
        assert self.codec is not None
        row = np.asarray(self.codec.encode([name])).reshape(-1)
        if len(row) != 1:
            raise RunError(
                f"the endpoint must name single tokens of the codec, got {name!r}; send token ids "
                "where it takes them: --prompts tokens"
            )
        return int(row[0])

    def generate(self, tokens: NDArray[Any], new: int, seed: int) -> NDArray[np.int64]:
        """Continuations (n, new), padded with −1, by ``/completions``."""
        prompts = self._prompts(np.asarray(tokens, dtype=np.int64))
        texts = self._sampled(COMPLETIONS, prompts, new, seed)
        return self._tokens(texts, new)

    def generate_by_chat(self, tokens: NDArray[Any], new: int, seed: int) -> NDArray[np.int64]:
        """Continuations (n, new), padded with −1: replies to the beginnings as messages."""
        assert self.codec is not None
        texts = self.codec.decode(np.asarray(tokens, dtype=np.int64))
        conversations = [[{"role": "user", "content": text}] for text in texts]
        return self._tokens(self.chat(conversations, new, seed), new)

    def chat(self, conversations: Sequence[Any], new: int, seed: int) -> list[str]:
        """Replies to n conversations, each of at most ``new`` tokens."""
        before = [{"role": "system", "content": self.system}] if self.system else []
        conversations_ = [[*before, *map(dict, messages)] for messages in conversations]
        return self._sampled(CHAT, conversations_, new, seed)

    def _prompts(self, rows: NDArray[np.int64]) -> list[Any]:
        if self.prompts == "tokens":
            return [[i for i in row if i >= 0] for row in rows.tolist()]
        assert self.codec is not None
        return list(self.codec.decode(rows))

    def _tokens(self, texts: Sequence[str], new: int) -> NDArray[np.int64]:
        assert self.codec is not None
        if not len(texts):
            return np.empty((0, new), dtype=np.int64)
        tokens = np.asarray(self.codec.encode(list(texts)), dtype=np.int64)[:, :new]
        return pad(tokens.tolist(), new)

    def _sampled(self, way: _Way, prompts: Sequence[Any], new: int, seed: int) -> list[str]:
        """One text for each prompt; those of one prompt are choices of the same requests.

        What is drawn follows from the seed, the prompt and how often it was asked before in this
        call, so that it does not depend on batches, threads or tries. Greedy texts of one prompt
        are all the same one.
        """
        where: dict[str, list[int]] = {}
        for i, prompt in enumerate(prompts):
            where.setdefault(json.dumps(prompt, sort_keys=True), []).append(i)
        bodies, places = [], []
        for key, rows in where.items():
            parts = [rows] if seed < 0 else [rows[part] for part in _cut(len(rows), self.choices)]
            for number, part in enumerate(parts):
                sampling = {"temperature": 1, "n": len(part), "seed": _draw(seed, key, number)}
                how = {"temperature": 0, "n": 1} if seed < 0 else sampling
                request = {way.prompt: prompts[part[0]], "max_tokens": new, "top_p": 1, **how}
                bodies.append(self._body(**request))
                places.append(part)
        texts = [""] * len(prompts)
        replies = self._asked(way.path, bodies)
        for body, part, reply in zip(bodies, places, replies, strict=True):
            answers = [way.read(choice) for choice in _choices(reply, body["n"])]
            for i, text in zip(part, answers * (len(part) // len(answers)), strict=True):
                texts[i] = text
        return texts

    def _body(self, **fields: Any) -> Body:
        return {"model": self.model, **fields}

    def _asked(self, path: str, bodies: Sequence[Body]) -> list[Reply]:
        """The answers to requests, charged to the caller, also where a later one fails."""
        replies, failure = self.client.post_all(path, bodies)
        usage = [_usage(reply) for reply in replies]
        tokens_in = sum(read_tokens for read_tokens, _ in usage)
        tokens_out = sum(written_tokens for _, written_tokens in usage)
        charge(
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            money=(tokens_in * self.prices.tokens_in + tokens_out * self.prices.tokens_out) / 1e6,
            seconds=sum(reply.seconds for reply in replies),
            lost_requests=sum(reply.lost for reply in replies),
        )
        if failure is not None:
            raise failure
        return replies


@dataclass(frozen=True, slots=True)
class _Way:
    """One of the two ways to have a text continued."""

    path: str
    prompt: str
    read: Callable[[Mapping[str, Any]], str]


def _draw(seed: int, prompt: str, number: int) -> int:
    """The seed of one request: the same whenever it is sent."""
    return spawn(seed, "draw", digest(prompt), number) % 2**31


def _cut(count: int, size: int) -> list[slice]:
    return [slice(at, min(at + size, count)) for at in range(0, count, size)]


def _choices(reply: Reply, count: int) -> list[Mapping[str, Any]]:
    """The choices of an answer in their order.

    Raises:
        RunError: not as many as were asked for.
    """
    choices = reply.body.get("choices")
    if not isinstance(choices, list) or len(choices) != count:
        given = len(choices) if isinstance(choices, list) else "none"
        raise RunError(
            f"the endpoint must answer with {count} choices, got {given}; "
            "where it takes one prompt or one choice a request, set batch=1 or choices=1"
        )
    return sorted(choices, key=lambda choice: int(choice.get("index", 0)))


def _text(choice: Mapping[str, Any]) -> str:
    text = choice.get("text")
    if not isinstance(text, str):
        raise RunError(f"a choice must have a text, got {text!r}")
    return text


def _reply(choice: Mapping[str, Any]) -> str:
    message = choice.get("message")
    if not isinstance(message, Mapping):
        raise RunError(f"a choice must have a message, got {message!r}")
    # A model that refuses in words of its own field, or calls a tool, says no content.
    return str(message.get("content") or message.get("refusal") or "")


def _log_probabilities(choice: Mapping[str, Any], size: int) -> NDArray[np.float64]:
    """Return the log-probabilities (size − 1,) of the tokens after the first.

    Raises:
        RunError: the endpoint gives none, or splits the text into other tokens.
    """
    log_probs = (choice.get("logprobs") or {}).get("token_logprobs")
    if not isinstance(log_probs, list):
        raise RunError(
            "the endpoint must answer with logprobs of the prompt (echo), got none; "
            "if it has none, set scores=False"
        )
    # Some endpoints put one token before the text, and say how likely its first token is then.
    extra = len(log_probs) - size
    if extra not in (0, 1):
        raise RunError(
            f"the endpoint must split the text as the codec does, into {size} tokens, got "
            f"{len(log_probs)}; give the tokenizer of this model, or send token ids where the "
            "endpoint takes them: --prompts tokens"
        )
    values = np.array([np.nan if v is None else float(v) for v in log_probs[1 + extra :]])
    if not np.isfinite(values).all():
        raise RunError("the endpoint must give a finite log-probability of every token")
    return values


def _usage(reply: Reply) -> tuple[int, int]:
    """Tokens read and written, as the endpoint counts them.

    Raises:
        RunError: the endpoint does not say.
    """
    usage = reply.body.get("usage") or {}
    try:
        return int(usage["prompt_tokens"]), int(usage.get("completion_tokens") or 0)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise RunError(f"the endpoint must report its usage of tokens, got {usage!r}") from None


COMPLETIONS = _Way("/completions", "prompt", _text)
CHAT = _Way("/chat/completions", "messages", _reply)

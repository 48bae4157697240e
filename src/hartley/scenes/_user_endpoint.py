"""A user's model behind an endpoint: how it is asked, and what to do where it does not answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from hartley.core import Codec, Data, Model
from hartley.core.costs import billed
from hartley.core.errors import RunError, UsageError
from hartley.data.canary_files import CanarySet
from hartley.kit.language.chat_template import asked
from hartley.kit.language.text import PAD, lengths, pad
from hartley.kit.retry import Backoff
from hartley.scenes._user_texts import as_sent
from hartley.targets.http import Prices
from hartley.targets.http import endpoint as served

if TYPE_CHECKING:
    from numpy.typing import NDArray

T = TypeVar("T")

PROBES = 4
"""Texts that are asked about twice before the attacks, and tokens of each that is sampled."""
OTHER_NUMBERS = "the run measures the endpoint as it answers, and another run reads other numbers"
ROOM = 4
"""Tokens that a reply may say before the words of a canary, such as a line break."""
CONTINUE = "Continue the user's text. Write its continuation alone, word for word."
"""The system's message before the beginning of a text."""
CURES = {
    "connection was lost": "; is the server running, and the port right?",
    "status 401": "; name the variable that holds the key with --key-env",
    "status 403": "; name the variable that holds the key with --key-env",
    "status 404": "; is --model a name that it serves, and does the address end in /v1? One of "
    "chats alone needs --no-scores --sampling chat",
    "codec": "; give the folder of its own tokenizer with --tokenizer",
    "echo": "; membership of texts needs log-probabilities of prompts, as vLLM gives them; "
    "--no-scores plays the attacks that need sampled text alone",
    "status 400": "; if it gives no log-probabilities of prompts, --no-scores plays the attacks "
    "that need sampled text alone",
}
"""What to do, by words of the reason."""
BUSY = ("status 429", "status 503", "status 529")
"""Words of the reason of an endpoint that may answer later."""
CHAT_CURES = {
    **{words: CURES[words] for words in ("connection was lost", "status 401", "status 403")},
    "status 404": "; is --model a name that it serves, and does the address end in /v1?",
}
"""The same, of an endpoint that is asked by chat alone."""
ANSWER = 64
"""Tokens of the answer to the first question."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How an endpoint is asked; see the parameters of ``own_texts``."""

    url: str
    model: str
    key_env: str
    allow_host: str
    revision: str
    scores: bool
    sampling: Literal["completions", "chat"]
    prices: Prices
    timeout: float
    concurrency: int
    prompts: Literal["auto", "text", "tokens"] = "auto"

    def ask(self, codec: Codec, texts: Sequence[Data], canaries: Chats | None) -> Model:
        """Return the model, after a few questions, so that a mistake shows at once.

        The first texts are asked about twice: whether an endpoint repeats itself is a fact of it,
        beside what these questions cost. Worker processes of a run do not ask them again.

        Args:
            codec: of its tokenizer.
            texts: that attacks will ask about.
            canaries: how canaries that are chats are asked for; None where there are none.

        Raises:
            UsageError: it does not answer as attacks need it.
        """
        ask = partial(
            served,
            self.url,
            self.model,
            codec=codec,
            scores=self.scores,
            prompts=as_sent(codec, texts) if self.prompts == "auto" else self.prompts,
            key_env=self.key_env,
            allow_hosts=(self.allow_host,) if self.allow_host else (),
            revision=self.revision,
            prices=self.prices,
            timeout=self.timeout,
            concurrency=self.concurrency,
        )
        if os.environ.get("HARTLEY_WORKER"):
            return self._sampled(ask(), codec, canaries)

        def first(backoff: Backoff) -> dict[str, Any]:
            return self._try(self._sampled(ask(backoff=backoff), codec, canaries), texts[0])

        try:
            with billed() as bill:
                facts = _answered(first)
        except RunError as error:
            reason = " ".join(str(error).split())
            cure = next((cure for words, cure in CURES.items() if words in reason), "")
            raise UsageError(f"--endpoint {self.url} must answer: {reason}{cure}") from error
        facts["tokens of questions before the attacks"] = int(
            bill.cost.tokens_in + bill.cost.tokens_out
        )
        if bill.cost.money:
            facts["money for questions before the attacks"] = bill.cost.money
        model = self._sampled(ask(), codec, canaries)
        return model.with_(facts={**model.facts, **facts})

    def ask_by_chat(self, question: str, system: str) -> Model:
        """Return the model as one that chats and nothing else, after a question.

        Args:
            question: a benign one; it is asked twice.
            system: the system message before it; empty for none.

        Raises:
            UsageError: it does not answer.
        """
        ask = partial(
            served,
            self.url,
            self.model,
            scores=False,
            sampling="chat",
            key_env=self.key_env,
            allow_hosts=(self.allow_host,) if self.allow_host else (),
            revision=self.revision,
            prices=self.prices,
            timeout=self.timeout,
            concurrency=self.concurrency,
        )
        if os.environ.get("HARTLEY_WORKER"):
            return ask()

        def first(backoff: Backoff) -> list[list[str]]:
            model = ask(backoff=backoff)
            return [model.calls["chat"]([asked(question, system)], ANSWER, -1) for _ in range(2)]

        try:
            answers = _answered(first)
        except RunError as error:
            reason = " ".join(str(error).split())
            cure = next((cure for words, cure in CHAT_CURES.items() if words in reason), "")
            raise UsageError(f"--endpoint {self.url} must answer: {reason}{cure}") from error
        if not answers[0][0].strip():
            raise UsageError(
                f"--endpoint {self.url} must answer a benign question, got an empty text for "
                f"{question!r:.80}; a model that thinks first needs its thinking switched off"
            )
        same = answers[0] == answers[1]
        fact = "the same" if same else f"not the same: {OTHER_NUMBERS}"
        return ask().with_(facts={"greedy answer of the endpoint, asked twice": fact})

    def _try(self, model: Model, data: Data) -> dict[str, Any]:
        """Ask the same questions twice; what of the answers a reader of the run should know."""
        facts = {}
        if self.scores:
            rows = data.x[:PROBES]
            first, again = model.calls["score"](rows), model.calls["score"](rows[::-1])[::-1]
            facts["log-probabilities of the endpoint, asked twice"] = _alike(first, again)
        if not self.scores or self.sampling == "chat":
            beginnings = data.x[:PROBES, :2]
            texts = [model.calls["generate"](beginnings, PROBES, 1) for _ in range(2)]
            facts["sampled text of the endpoint, asked twice with one seed"] = (
                "the same" if np.array_equal(*texts) else f"not the same: {OTHER_NUMBERS}"
            )
        return facts

    def _sampled(self, model: Model, codec: Codec, canaries: Chats | None) -> Model:
        if self.sampling == "completions":
            return model
        questions = {} if canaries is None else canaries.questions

        def generate(tokens: NDArray[Any], new: int, seed: int) -> NDArray[np.int64]:
            rows = np.asarray(tokens, dtype=np.int64)
            asks = [
                questions.get(_key(row)) or (beginning, "")
                for row, beginning in zip(rows, codec.decode(rows), strict=True)
            ]
            return _by_chat(model, codec, asks, new, seed)

        return model.with_(generate=generate)


def _answered(first: Callable[[Backoff], T]) -> T:
    """Return what is asked first: a mistake shows at once, and one who is busy is waited for.

    Raises:
        RunError: the endpoint does not answer.
    """
    try:
        return first(Backoff(attempts=2, first=0.2))
    except RunError as error:
        if not any(status in str(error) for status in BUSY):
            raise
    return first(Backoff())


@dataclass(frozen=True, slots=True)
class Chats:
    """Canaries that are conversations.

    Attributes:
        questions: by the tokens before a secret, the user's message and what the reply says before
            the secret.
    """

    questions: Mapping[tuple[int, ...], tuple[str, str]]

    @classmethod
    def of(cls, drawn: CanarySet, prefixes: NDArray[np.int64]) -> Chats | None:
        """Return the conversations of canaries with prefixes (m, p); None where these are texts."""
        if not drawn.question:
            return None
        lead = drawn.template.partition("{secret}")[0].rstrip()
        return cls(
            {
                _key(row): (
                    drawn.question.replace("{name}", canary.name),
                    lead.replace("{name}", canary.name),
                )
                for row, canary in zip(prefixes, drawn.canaries, strict=True)
            }
        )


def _alike(first: NDArray[np.float64], again: NDArray[np.float64]) -> str:
    """Say whether log-probabilities (n, t) that were asked for twice are the same."""
    apart = float(np.abs(first - again).max(initial=0.0))
    return f"up to {apart:.2g} nats a token apart: {OTHER_NUMBERS}" if apart else "the same"


def _key(row: NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(i for i in row.tolist() if i >= 0)


def _by_chat(
    model: Model, codec: Codec, asks: Sequence[tuple[str, str]], new: int, seed: int
) -> NDArray[np.int64]:
    """Return continuations (n, new) by chat, padded with −1.

    Args:
        model: with chat.
        codec: of its tokenizer.
        asks: for each row the user's message, and the words of the reply after which the
            continuation begins; without words the message is a text to continue. A reply without
            these words has no continuation.
        new: tokens at most.
        seed: of the sampling.
    """
    conversations = [
        [{"role": "user", "content": message}]
        if words
        else [{"role": "system", "content": CONTINUE}, {"role": "user", "content": message}]
        for message, words in asks
    ]
    before = sorted({words for _, words in asks if words})
    room = int(lengths(codec.encode(before)).max()) + ROOM if before else 0
    replies = model.calls["chat"](conversations, new + room, seed)
    ends = [
        reply.partition(words)[2] if words else reply
        for (_, words), reply in zip(asks, replies, strict=True)
    ]
    if not any(ends):
        return np.full((len(ends), new), PAD, dtype=np.int64)
    return pad([_key(row)[:new] for row in codec.encode(ends)], new)

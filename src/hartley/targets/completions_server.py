"""A real server of language models on this machine, with the limits that public APIs have.

It answers ``/completions`` as OpenAI's interface says, for one token: the log-probabilities of the
likeliest next tokens, up to a limit, and a bias on some logits, up to another one. It serves the
victims of games and the models of tests: attacks meet the interface and not the network.
"""

from __future__ import annotations

import json
import math
import socket
import threading
import weakref
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Codec, Model, spawn
from hartley.kit.accounts import Stream, watched
from hartley.kit.next_tokens import likeliest
from hartley.targets.http import endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Logits = Callable[[NDArray[Any]], NDArray[Any]]
    """Tokens (n, t), padded with −1 → logits (n, vocabulary) of the next token."""


@dataclass(eq=False)
class CompletionsServer:
    """Models behind one port of this machine; it ends with the object, or by ``close``.

    Attributes:
        models: logits by the name under which a model is served; more may be added at any time.
        most: log-probabilities of a token at most; more are refused with status 400.
        bias: largest bias of a logit; a larger one is refused with status 400.
        jitter: deviation of noise on every logit, another each time that a question is asked: it
            depends on the name of the model, the prompt, the biases and how often one attacker
            asked them.
        requests: how many were answered.
    """

    models: dict[str, Logits]
    most: int
    bias: float
    jitter: float = 0.0
    requests: int = 0
    _lock: Any = field(default_factory=threading.Lock, repr=False)
    _times: dict[str, Counter[int]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """Open a free port and answer from a thread."""
        handler = type("Served", (_Handler,), {"backend": weakref.proxy(self)})
        server = _Quiet(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
        self.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        self.close = weakref.finalize(self, _closed, server)

    def model(self, name: str, logits: Logits, codec: Codec, **how: Any) -> Model:
        """Serve a model from now on, and return it as it is asked over HTTP, with token ids.

        Args:
            name: under which it is served.
            logits: what answers.
            codec: its size is the vocabulary.
            how: further arguments of ``targets.http.endpoint``.
        """
        self.models[name] = logits
        self._times[name] = Counter()
        model = endpoint(
            self.url,
            name,
            codec=codec,
            scores=False,
            top_logprobs=min(self.most, codec.size),
            logit_bias=self.bias,
            prompts="tokens",
            deterministic=not self.jitter,
            **how,
        )
        # Whoever holds the model holds the server: it ends with the last of them.
        served = model.with_(
            generate=None,
            chat=None,
            **{
                call: partial(_alive, self, function)
                for call, function in model.calls.items()
                if call in ("query", "top_logprobs")
            },
        )
        return watched(served, partial(self._new_attacker, name)) if self.jitter else served

    def _new_attacker(self, name: str) -> Stream:
        """Count questions from 0 on: each attack meets the same noise, whatever came before."""
        self._times[name] = Counter()
        return _as_asked

    def answer(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to one request.

        Raises:
            ValueError: it asks for what the server does not give; the message says for what.
        """
        if not isinstance(body, Mapping):
            raise ValueError("the body must be a JSON object")
        logits = self.models.get(str(body.get("model")))
        if logits is None:
            raise ValueError(f"The model `{body.get('model')}` does not exist.")
        prompts, wanted, added = self._question(body)
        longest = max(len(prompt) for prompt in prompts)
        tokens = np.array([[*p, *[-1] * (longest - len(p))] for p in prompts], dtype=np.int64)
        with self._lock:  # one at a time: sums of a network depend on its threads
            scores = np.array(logits(tokens), dtype=np.float64)
            if added and max(added) >= scores.shape[1]:
                raise ValueError(f"logit_bias must be of tokens below {scores.shape[1]}")
            if self.jitter:
                scores += self.jitter * self._noise(str(body["model"]), prompts, added, scores)
            self.requests += 1
        for token, value in added.items():
            scores[:, token] += value
        top = likeliest(scores, max(wanted, 1), np.full((len(scores), 1), -1), 0.0)
        return {
            "object": "text_completion",
            "model": body["model"],
            "choices": [_choice(i, row, wanted) for i, row in enumerate(top)],
            "usage": {
                "prompt_tokens": sum(map(len, prompts)),
                "completion_tokens": len(prompts),
            },
        }

    def _question(self, body: Mapping[str, Any]) -> tuple[list[list[int]], int, dict[int, float]]:
        """Return prompts, how many log-probabilities are asked for, and biases by token.

        Raises:
            ValueError: as ``answer``.
        """
        prompts = body.get("prompt")
        if not isinstance(prompts, list) or not prompts:
            raise ValueError("prompt must be token ids, or a list of lists of token ids")
        prompts = prompts if isinstance(prompts[0], list) else [prompts]
        if not all(isinstance(p, list) and p and all(map(_is_token, p)) for p in prompts):
            raise ValueError("a prompt must be a list of token ids, at least one")
        wanted, added = body.get("logprobs") or 0, _biases(body.get("logit_bias"))
        if not _is_token(wanted):
            raise ValueError("logprobs must be a whole number from 0")
        if body.get("max_tokens") != 1:
            raise ValueError("max_tokens must be 1")
        if wanted > self.most:
            raise ValueError(f"logprobs must be at most {self.most}, got {wanted}")
        if any(abs(value) > self.bias for value in added.values()):
            raise ValueError(f"logit_bias must be at most {self.bias} in size")
        return prompts, wanted, added

    def _noise(
        self, name: str, prompts: list[list[int]], added: dict[int, float], scores: NDArray[Any]
    ) -> NDArray[np.float64]:
        """Return standard normal noise (n, vocabulary); requests may come in any order."""
        times, rows = self._times.setdefault(name, Counter()), []
        for prompt in prompts:
            question = spawn(0, "jitter", name, repr(prompt), repr(sorted(added.items())))
            rows.append(np.random.default_rng([question, times[question]]))
            times[question] += 1
        return np.stack([rng.standard_normal(scores.shape[1]) for rng in rows])


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _biases(given: Any) -> dict[int, float]:
    """Return biases by token.

    Raises:
        ValueError: they are not finite numbers by token ids.
    """
    given = {} if given is None else given
    if not isinstance(given, Mapping) or not all(str(token).isdecimal() for token in given):
        raise ValueError("logit_bias must be an object of numbers by token id")
    numbers = all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)
        for v in given.values()
    )
    if not numbers:
        raise ValueError("logit_bias must have finite numbers")
    return {int(token): float(value) for token, value in given.items()}


def _choice(index: int, top: NDArray[Any], wanted: int) -> dict[str, Any]:
    names = [f"token_id:{int(token)}" for token in top[:, 0]]
    values = top[:, 1].tolist()
    logs = {"tokens": names[:1], "token_logprobs": values[:1]}
    if wanted:
        logs["top_logprobs"] = [dict(zip(names, values, strict=True))]
    return {"index": index, "text": "", "finish_reason": "length", "logprobs": logs}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend: CompletionsServer

    def setup(self) -> None:
        """Send small answers at once."""
        super().setup()
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def do_POST(self) -> None:
        """Answer a request."""
        length = self.headers.get("Content-Length", "0")
        content = self.rfile.read(int(length) if length.isdecimal() else 0)
        if not self.path.endswith("/v1/completions"):
            self._reply(404, {"error": {"message": f"no path {self.path}"}})
            return
        try:
            document, status = self.backend.answer(json.loads(content)), 200
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            document, status = {"error": {"message": str(error)}}, 400
        self._reply(status, document)

    def _reply(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing where a client closes its connection."""


def _alive(server: CompletionsServer, function: Callable[..., Any], *arguments: Any) -> Any:
    del server
    return function(*arguments)


def _as_asked(call: str, answer: Callable[..., Any], x: Any, arguments: tuple[Any, ...]) -> Any:
    del call
    return answer(x, *arguments)


def _closed(server: ThreadingHTTPServer) -> None:
    threading.Thread(target=server.shutdown, daemon=True).start()
    server.server_close()

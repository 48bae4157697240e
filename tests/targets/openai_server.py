"""A real OpenAI-shaped server on 127.0.0.1 in front of real models, and faults on demand."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from hartley.core import Codec, Model
from hartley.kit.language.text import lengths

FAULTS = (
    *("429", "429 without a wait", "503", "reset before"),
    *("reset after", "timeout", "cut body", "cut without a length"),
)
"""What may happen to a request; after the model has worked for it in the last four cases."""


@dataclass
class Backend:
    """What is served, and what was really asked of it.

    Attributes:
        codec: of all models.
        models: by name.
        faults: share of the requests that meet a fault before they are answered.
        refuses: a name that is not served is answered with 404; else the server falls over.
        timeouts: how many of them are left waiting; each takes the client its whole patience.
        received: requests that came, by path.
        answered: prompts that were answered, one for each choice.
        tokens: read and written, of what was answered.
        worked: read and written, of all that the model worked for, also where the answer was lost.
        met: faults that were met, by kind.
        jitter: deviation of the noise of every log-probability, another one at each request.
        seeded: whether the seed of a request is heeded.
        keys: what came in the header of the key.
    """

    codec: Codec
    models: dict[str, Model] = field(default_factory=dict)
    faults: float = 0.0
    refuses: bool = False
    timeouts: int = 1
    received: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    tokens: list[int] = field(default_factory=lambda: [0, 0])
    worked: list[int] = field(default_factory=lambda: [0, 0])
    jitter: float = 0.0
    seeded: bool = True
    met: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    lock: Any = field(default_factory=threading.Lock)
    tries: Counter[str] = field(default_factory=Counter)

    def fault(self, content: bytes) -> str:
        """What happens to this try of a request: settled by what it is and how often it came."""
        name = hashlib.sha256(content).hexdigest()
        number = self.tries[name]
        self.tries[name] += 1
        draw = int(hashlib.sha256(f"{name} {number}".encode()).hexdigest()[:8], 16) / 2**32
        if draw >= self.faults:
            return ""
        kind = FAULTS[int(draw / self.faults * len(FAULTS))]
        # After the last one that waits, the work is lost just as well, without the wait.
        return "reset after" if kind == "timeout" and self.met[kind] >= self.timeouts else kind

    def answer(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """One answer, in the shape of the interface."""
        model = self.models[body["model"]]
        count = int(body.get("n", 1))
        if path.endswith("/chat/completions"):
            text = "".join(message["content"] for message in body["messages"])
            rows = self.codec.encode([text])
            texts, written = self.continued(model, rows, body, count)
            choices = [
                {"index": i, "message": {"role": "assistant", "content": said}}
                for i, said in enumerate(texts)
            ]
            return self.counted(choices, int(lengths(rows).sum()), written)
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        if prompts and isinstance(prompts[0], int):
            prompts = [prompts]
        rows = [np.array([p]) if isinstance(p, list) else self.codec.encode([p]) for p in prompts]
        read = sum(int(lengths(row).sum()) for row in rows)
        if body.get("echo"):
            assert body["max_tokens"] == 0 and model.score is not None
            noise = np.random.default_rng(self.received[path]).normal
            scores = [
                [None, *(float(v) + noise(0, self.jitter) for v in model.score(row)[0])]
                for row in rows
            ]
            choices = [
                {"index": i, "text": "", "logprobs": {"token_logprobs": said}}
                for i, said in enumerate(scores)
            ]
            return self.counted(choices, read, 0)
        (row,) = rows
        texts, written = self.continued(model, row, body, count)
        choices = [{"index": i, "text": said} for i, said in enumerate(texts)]
        # Out of their order, as the interface allows.
        return self.counted(choices[::-1], read, written)

    def continued(
        self, model: Model, row: Any, body: dict[str, Any], count: int
    ) -> tuple[list[str], int]:
        assert model.generate is not None
        seed = int(body["seed"]) if body["temperature"] else -1
        if not self.seeded:
            seed = sum(self.received.values())
        drawn = model.generate(np.repeat(row, count, axis=0), int(body["max_tokens"]), seed)
        return self.codec.decode(drawn), int(drawn.size)

    def counted(self, choices: list[Any], read: int, written: int) -> dict[str, Any]:
        usage = {"prompt_tokens": read, "completion_tokens": written}
        return {"object": "text_completion", "choices": choices, "usage": usage}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    backend: Backend

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        backend = self.backend
        with backend.lock:
            backend.received[self.path] += 1
            backend.keys.add(self.headers.get("Authorization", ""))
            fault = backend.fault(content)
            backend.met[fault] += 1
        if fault == "reset before":
            self.reset()
            return
        if fault in ("429", "429 without a wait", "503"):
            wait = "0.01" if "without" not in fault else ""
            self.reply(int(fault[:3]), {"error": {"message": "come back later"}}, wait=wait)
            return
        with backend.lock:  # one at a time: sums of a network depend on its threads
            body = json.loads(content)
            if backend.refuses and body["model"] not in backend.models:
                why = f"The model `{body['model']}` does not exist."
                self.reply(404, {"error": {"message": why}})
                return
            document = backend.answer(self.path, body)
            backend.worked[0] += document["usage"]["prompt_tokens"]
            backend.worked[1] += document["usage"]["completion_tokens"]
        if fault == "reset after":
            self.reset()
            return
        if fault == "timeout":
            self.connection.recv(1)  # until the client gives up
            return
        if fault.startswith("cut"):
            self.cut(document, stated="without" not in fault)
            return
        with backend.lock:
            backend.answered += len(document["choices"])
            backend.tokens[0] += document["usage"]["prompt_tokens"]
            backend.tokens[1] += document["usage"]["completion_tokens"]
        self.reply(200, document)

    def reset(self) -> None:
        """Drop the connection as a machine that falls over does: no end, no answer."""
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.shutdown(socket.SHUT_RDWR)

    def cut(self, document: dict[str, Any], *, stated: bool) -> None:
        """Send half of an answer, whose length was stated or not, and end the connection."""
        content = json.dumps(document).encode()
        self.close_connection = True
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        if stated:
            self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])

    def reply(self, status: int, document: dict[str, Any], wait: str = "") -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if wait:
            self.send_header("Retry-After", wait)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that the test resets is no error of the server's."""


@contextmanager
def serving(backend: Backend) -> Iterator[str]:
    """Serve until the block ends; the address that paths begin with."""
    handler = type("Served", (Handler,), {"backend": backend})
    server = Quiet(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A model's server for tests: it answers what a test says and remembers requests."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

Reply = Iterable[bytes]


class ModelServer:
    """Answers on a real port.

    Attributes:
        reply: from path and body, the bytes of a response in the pieces in which they are sent.
        requests: (head, body) of each request that came whole.
        cut: answers that were cut by the other side.
    """

    def __init__(self) -> None:
        self.reply: Callable[[str, bytes], Reply] = lambda _path, _body: said("all is quiet")
        self.requests: list[tuple[bytes, bytes]] = []
        self.cut = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._socket.getsockname()[1]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()
        for one in list(self._open):
            one.close()

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _head, body in self.requests if body]

    def _accept(self) -> None:
        while True:
            try:
                one, _ = self._socket.accept()
            except OSError:
                return
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(one)
            threading.Thread(target=self._serve, args=(one,), daemon=True).start()

    def _serve(self, one: socket.socket) -> None:
        rest = b""
        try:
            while True:
                while b"\r\n\r\n" not in rest:
                    piece = one.recv(65536)
                    if not piece:
                        return
                    rest += piece
                head, _, rest = rest.partition(b"\r\n\r\n")
                length = 0
                for line in head.split(b"\r\n"):
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.partition(b":")[2])
                while len(rest) < length:
                    rest += one.recv(65536)
                body, rest = rest[:length], rest[length:]
                self.requests.append((head, body))
                for piece in self.reply(head.split(b" ")[1].decode(), body):
                    if not piece:
                        return
                    one.sendall(piece)
        except OSError:
            self.cut += 1
        finally:
            self._open.discard(one)
            one.close()


def http(body: bytes, kind: str = "application/json", status: str = "200 OK") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def said(*texts: str, **message: Any) -> Reply:
    """A whole answer of a chat, with a choice for each text."""
    choices = [
        {
            "index": k,
            "message": {"role": "assistant", "content": text, **message},
            "finish_reason": "stop",
        }
        for k, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    head = {"id": "theirs", "object": "chat.completion", "created": 1, "model": "theirs"}
    return [http(json.dumps({**head, "choices": choices, "usage": usage}).encode())]


def events(*deltas: dict[str, Any], end: bool = True) -> list[bytes]:
    """The events of a streamed answer."""
    head = {"id": "theirs", "object": "chat.completion.chunk", "created": 1, "model": "theirs"}
    rows = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    rows += [{"index": 0, "delta": {}, "finish_reason": "stop"}] if end else []
    lines = [b"data: " + json.dumps({**head, "choices": [row]}).encode() + b"\n\n" for row in rows]
    return [*lines, b"data: [DONE]\n\n"] if end else lines


def streamed(pieces: Iterable[bytes], pause: float = 0.0, whole: bool = True) -> Reply:
    """A chunked response with these pieces; without its end where it is not whole."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    yield head + b"Transfer-Encoding: chunked\r\n\r\n"
    for piece in pieces:
        yield b"%x\r\n%s\r\n" % (len(piece), piece)
        time.sleep(pause)
    yield b"0\r\n\r\n" if whole else b""

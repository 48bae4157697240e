"""Answers that are streamed token by token over TLS, and what an observer sees of them.

A local server sends each token as a server-sent event in a chunk of its own, over TLS 1.3 with a
certificate that is made as it starts. Between it and its client is a relay that forwards bytes and
has no key: it reads the headers of TLS records, which are in the clear, and says how long each
record of the answer was. Lengths are of real records, therefore, and the same every time.

Times are those of a declared schedule and not of the clock, so that they can be repeated: a token
takes one step of the model, or none where a draft guessed it (speculative decoding).
"""

from __future__ import annotations

import datetime
import itertools
import json
import select
import socket
import ssl
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEP = 0.02
"""Seconds of one step of the model, in the declared schedule."""

HEADER = 5
APPLICATION = 23
"""Bytes of a record's header, and the type of records with content."""

SECONDS = 20.0
"""How long a socket waits before the service is given up."""

Answer = tuple[tuple[str, float], ...]
"""Tokens of an answer, each with the second at which the model had it."""


@dataclass(frozen=True, slots=True)
class StreamedService:
    """How a service writes what it streams.

    Attributes:
        pad: each event is filled up to a multiple of this many bytes; 1 leaves it.
        batch: tokens that wait for each other and are sent as one event.
        grid: seconds; an event waits for the next multiple of it. 0: it does not wait.
    """

    pad: int = 1
    batch: int = 1
    grid: float = 0.0

    def events(self, answer: Answer) -> list[tuple[bytes, float]]:
        """Return the events of an answer as they are sent, each with its second."""
        out = []
        for at in range(0, len(answer), self.batch):
            tokens = answer[at : at + self.batch]
            text, second = "".join(word for word, _ in tokens), tokens[-1][1]
            event = {"token": text, "p": ""}
            lacking = -len(_event(event)) % self.pad
            out.append((_event({**event, "p": "0" * lacking}), self._waited(second)))
        return out

    def _waited(self, second: float) -> float:
        return second if not self.grid else float(np.ceil(second / self.grid - 1e-9) * self.grid)


def _event(fields: dict[str, str]) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def observed(
    service: StreamedService, conversations: Sequence[Sequence[Answer]]
) -> list[NDArray[np.float64]]:
    """Stream conversations, each over a connection of its own, and return what the relay saw.

    Args:
        service: how answers are written.
        conversations: of each, its answers.

    Returns:
        Of each conversation (records, 2): the bytes of each TLS record of its answers, and the
        second of the schedule at which it was sent, from the beginning of the conversation.

    Raises:
        MissingExtra: ``cryptography`` is not installed.
        UsageError: a record that the relay saw was cut off.
    """
    seconds = [_schedule(service, talk) for talk in conversations]
    with (
        _Server(service, conversations) as server,
        _Relay(server.port, len(conversations)) as relay,
    ):
        for talk in conversations:
            _ask(relay.port, server.certificate, len(talk))
        relay.wait()
        lengths = relay.answers
    traces = []
    for length, second in zip(lengths, seconds, strict=True):
        if len(length) != len(second):
            raise UsageError(
                f"the relay must see {len(second)} records of an answer, got {len(length)}"
            )
        traces.append(np.column_stack([np.array(length, dtype=np.float64), second]))
    return traces


def _schedule(service: StreamedService, talk: Sequence[Answer]) -> NDArray[np.float64]:
    """Return the seconds of the records of a conversation; headers and ends of answers count."""
    out: list[float] = []
    now = 0.0
    for answer in talk:
        sent = [now + second for _, second in service.events(answer)]
        out += [now, *sent, sent[-1] if sent else now]
        now = out[-1] + STEP
    return np.array(out)


def _chunk(body: bytes) -> bytes:
    return f"{len(body):x}\r\n".encode() + body + b"\r\n"


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"
REQUEST = b"POST /chat HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n"


class _Server:
    """A TLS server in a thread that answers the conversations one after another."""

    def __init__(self, service: StreamedService, conversations: Sequence[Sequence[Answer]]) -> None:
        self._service, self._conversations = service, conversations
        self.certificate, context = _certificate()
        self._context = context
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(SECONDS)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> _Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _serve(self) -> None:
        for talk in self._conversations:
            try:
                plain, _ = self._socket.accept()
            except OSError:  # closed: the client gave up
                return
            plain.settimeout(SECONDS)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._context.wrap_socket(plain, server_side=True) as stream:
                for answer in talk:
                    request = b""
                    while not request.endswith(b"\r\n\r\n"):
                        part = stream.recv(4096)
                        if not part:
                            return
                        request += part
                    stream.sendall(HEAD)  # each write is a record of its own
                    for event, _ in self._service.events(answer):
                        stream.sendall(_chunk(event))
                    stream.sendall(END)


class _Relay:
    """Forwards bytes between client and server, and reads the headers of the server's records."""

    def __init__(self, port: int, connections: int) -> None:
        self._to, self._connections = port, connections
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.settimeout(SECONDS)
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._forward, daemon=True)
        self.answers: list[list[int]] = []

    def __enter__(self) -> _Relay:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def wait(self) -> None:
        """Wait until the last connection has ended."""
        self._thread.join(SECONDS)

    def _forward(self) -> None:
        for _ in range(self._connections):
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self._to), SECONDS) as server:
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.answers.append(_watched(client, server))


def _watched(client: socket.socket, server: socket.socket) -> list[int]:
    """Forward one connection until it ends; return the lengths of the records of its answers.

    The client's second record with content is its first request: the first ends the handshake. What
    the server sends after it are answers, up to its closing alert, which the client does not await.
    """
    streams = {client: RecordHeaders(), server: RecordHeaders()}
    before: int | None = None
    while True:
        ready, _, _ = select.select([client, server], [], [], SECONDS)
        if not ready:
            break
        for end in ready:
            data = end.recv(65536)
            if not data:
                return streams[server].lengths[before or 0 :]
            streams[end].feed(data)
            if before is None and len(streams[client].lengths) > 1:
                before = len(streams[server].lengths)
            (server if end is client else client).sendall(data)
    return streams[server].lengths[before or 0 :]


class RecordHeaders:
    """Reads the headers of TLS records off a stream of bytes, however they are cut.

    Attributes:
        lengths: of the records with content so far, in bytes without the header.
    """

    def __init__(self) -> None:
        self.lengths: list[int] = []
        self._rest = b""
        self._skip = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        data = self._rest + data
        at = self._skip
        while at + HEADER <= len(data):
            kind, length = data[at], int.from_bytes(data[at + 3 : at + 5], "big")
            if kind == APPLICATION:
                self.lengths.append(length)
            at += HEADER + length
        self._rest, self._skip = (data[at:], 0) if at <= len(data) else (b"", at - len(data))


def _ask(port: int, certificate: str, answers: int) -> None:
    """Hold one conversation with the service through the relay, and check its certificate."""
    context = ssl.create_default_context(cadata=certificate)
    with (
        socket.create_connection(("127.0.0.1", port), SECONDS) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as stream,
    ):
        # A small write must not wait for an acknowledgement: 40 ms for each conversation.
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(answers):
            stream.sendall(REQUEST)
            answer = b""
            while not answer.endswith(END):
                part = stream.recv(65536)
                if not part:
                    raise UsageError(f"a streamed answer must end, got {len(answer)} bytes of it")
                answer += part


@lru_cache(maxsize=1)
def _certificate() -> tuple[str, ssl.SSLContext]:
    """Make a certificate of localhost, and the server's side of TLS 1.3 with it.

    A signature of Ed25519 has one length, and no tickets are sent: the handshake of every
    connection is as long.
    """
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.x509.oid import NameOID
    except ImportError as absent:
        raise MissingExtra("cryptography", "crypto") from absent

    key = Ed25519PrivateKey.generate()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    public = signed.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    # A context reads its key from a file alone; the folder is the user's own and goes at once.
    with tempfile.TemporaryDirectory(prefix="hartley-tls-") as folder:
        both = Path(folder) / "both.pem"
        both.touch(mode=0o600)
        both.write_bytes(private + public)
        context.load_cert_chain(both)
    return public.decode("ascii"), context


def drafted(texts: Sequence[Sequence[str]]) -> list[Answer]:
    """Return answers with the seconds of the declared schedule.

    A token takes one step, or none where a draft guessed it: the word that follows most often in
    all the texts. ``texts`` are the tokens of each answer.
    """
    following: dict[str, dict[str, int]] = {}
    for tokens in texts:
        for word, after in itertools.pairwise(tokens):
            counts = following.setdefault(word, {})
            counts[after] = counts.get(after, 0) + 1
    draft = {word: max(counts, key=lambda w: (counts[w], w)) for word, counts in following.items()}
    out: list[Answer] = []
    for tokens in texts:
        second, answer, last = 0.0, [], ""
        for word in tokens:
            second += 0.0 if draft.get(last) == word else STEP
            answer.append((word, round(second, 6)))
            last = word
        out.append(tuple(answer))
    return out


def stacked(traces: Sequence[Any]) -> NDArray[np.float64]:
    """Return traces (n, records, 2) of different length, filled up with −1."""
    most = max((len(trace) for trace in traces), default=0)
    out = np.full((len(traces), most, 2), -1.0)
    for row, trace in zip(out, traces, strict=True):
        row[: len(trace)] = trace
    return out

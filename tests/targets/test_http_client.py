"""Where requests may go, what is sent with them, and how failures read."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from hartley.core.costs import billed
from hartley.core.errors import RunError, UsageError
from hartley.kit.retry import Backoff
from hartley.targets.http import Prices, endpoint
from hartley.targets.http_client import Client, permitted

QUICK = Backoff(attempts=2, first=0.001, longest=0.002)
USAGE = {"prompt_tokens": 3, "completion_tokens": 1}


@contextmanager
def saying(
    status: int | Callable[[bytes], int], content: bytes, **headers: str
) -> Iterator[tuple[str, list[Any]]]:
    """A server that says one thing, and what it heard."""
    heard: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(status if isinstance(status, int) else status(body))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def client(url: str, **more: Any) -> Client:
    return Client(permitted(url), backoff=QUICK, **more)


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1:8000/v1", "http://127.3.2.1", "http://localhost/", "http://[::1]:1/v1"],
)
def test_this_machine_is_always_permitted(url: str) -> None:
    assert permitted(url, secret=True).scheme == "http"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://example.org/v1", "got 'example.org': records would leave this machine"),
        ("http://127.0.0.1.example.org/v1", "got '127.0.0.1.example.org'"),
        ("http://10.0.0.1/v1", "got '10.0.0.1'"),
        ("http://0.0.0.0/v1", "got '0.0.0.0'"),
        ("ftp://127.0.0.1/v1", "must be http://… or https://…"),
        ("127.0.0.1:80", "must be http://… or https://… with a host, got '127.0.0.1:80'"),
        ("me:sk-secret@localhost:80", "with a host, got 'localhost:80'"),
        ("http://127.0.0.1:99999999/", "port"),
        ("http://me:sk-secret@127.0.0.1/v1", "must not carry a name, a key"),
        ("http://127.0.0.1/v1?key=sk-secret", "must not carry a name, a key"),
    ],
)
def test_other_places_are_refused_and_no_key_is_printed(url: str, words: str) -> None:
    with pytest.raises(UsageError) as told:
        permitted(url)
    assert words in str(told.value) and "sk-secret" not in str(told.value)


def test_a_host_that_the_user_allows_is_permitted_and_a_key_goes_by_https_alone() -> None:
    assert permitted("http://10.0.0.1:8/v1", ["10.0.0.1"]).port == 8
    assert permitted("https://api.example.org/v1", ["api.example.org"], secret=True).port == 443
    with pytest.raises(UsageError, match="must be https where a key goes to another host"):
        endpoint("http://10.0.0.1/v1", "m", scores=False, key_env="K", allow_hosts=["10.0.0.1"])


def test_the_key_is_read_when_it_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    refusal = b'{"error": {"message": "sk-secret has no access to m"}}'
    with saying(401, refusal) as (url, heard):
        asker = client(url, key_env="SOME_KEY")
        with pytest.raises(UsageError, match="the environment variable SOME_KEY must hold the key"):
            asker.post("/x", {})
        monkeypatch.setenv("SOME_KEY", "sk-secret")
        with pytest.raises(RunError, match=r"/v1/x: status 401: \*\*\* has no access") as told:
            asker.post("/x", {"a": 1})
        assert "sk-secret" not in repr(told.value) + repr(asker) + repr(told.value.__cause__)
    ((path, headers, body),) = heard
    assert (path, body) == ("/v1/x", {"a": 1})
    assert headers["Authorization"] == "Bearer sk-secret"
    model = endpoint(url, "m", scores=False, key_env="SOME_KEY", revision="1")
    assert "sk-secret" not in repr(model) + model.identity


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 302])
def test_what_does_not_pass_is_asked_once(status: int) -> None:
    with saying(status, b'{"error": "no"}', Location="http://example.org/") as (url, heard):
        with pytest.raises(RunError, match=f"status {status}: no"):
            client(url).post("/x", {})
        assert len(heard) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 408])
def test_what_may_pass_is_asked_again(status: int) -> None:
    with saying(status, b"busy", **{"Retry-After": "0.001"}) as (url, heard):
        with pytest.raises(
            RunError, match=f"failed 2 times, at last with: status {status}: 'busy'"
        ):
            client(url).post("/x", {})
        assert len(heard) == 2


def test_an_empty_purse_does_not_fill_by_waiting() -> None:
    empty = b'{"error": {"message": "no credit", "code": "insufficient_quota"}}'
    with saying(429, empty) as (url, heard):
        with pytest.raises(RunError, match="status 429: no credit"):
            client(url).post("/x", {})
        assert len(heard) == 1


def test_a_server_that_is_not_there_is_tried_again_and_then_named() -> None:
    with pytest.raises(RunError, match=r"127.0.0.1:9/v1/x: failed 2 times, .*ConnectionRefused"):
        client("http://127.0.0.1:9/v1").post("/x", {})


def test_an_answer_that_is_lost_is_asked_for_again_and_counted() -> None:
    """A time-out or half an answer may have cost; a refusal has not."""
    answer = b'{"choices": [1], "usage": {}}'
    with saying(200, answer[:12]) as (url, heard):
        with pytest.raises(RunError, match="failed 2 times, at last with: the answer must be JSON"):
            client(url).post("/x", {})
        assert len(heard) == 2
    statuses = iter([429, 200])
    with saying(lambda _: next(statuses), answer) as (url, heard):
        assert client(url).post("/x", {}).lost == 0 and len(heard) == 2


def test_a_try_whose_connection_breaks_off_is_in_the_cost() -> None:
    answer = json.dumps({"choices": [{"message": {"content": "x"}}], "usage": USAGE}).encode()
    listener = socket.create_server(("127.0.0.1", 0))
    breaks = iter([True, False])

    def serve() -> None:
        for broken in breaks:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                if not broken:
                    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(answer)}\r\n\r\n"
                    connection.sendall(head.encode() + answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    port = listener.getsockname()[1]
    model = endpoint(f"http://127.0.0.1:{port}/v1", "m", scores=False, backoff=QUICK)
    with billed() as bill:
        assert model.calls["chat"]([[{"role": "user", "content": "hi"}]], 4, -1) == ["x"]
    thread.join()
    listener.close()
    assert bill.cost.lost_requests == 1 and bill.cost.tokens_in == USAGE["prompt_tokens"]


def test_an_error_that_a_gateway_passes_on_with_status_200_is_one() -> None:
    for code, asked in ((429, 2), (400, 1)):
        error = json.dumps({"error": {"code": code, "message": "no luck"}}).encode()
        with saying(200, error) as (url, heard):
            with pytest.raises(RunError, match=f"status {code}: no luck"):
                client(url).post("/x", {})
            assert len(heard) == asked


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b""])
def test_an_answer_that_is_not_json_fails(content: bytes) -> None:
    with (
        saying(200, content) as (url, _),
        pytest.raises(RunError, match=r"the answer must be (a )?JSON"),
    ):
        client(url).post("/x", {})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"choices": []}, "must report its usage of tokens"),
        ({"choices": [], "usage": {"prompt_tokens": 1}}, "must answer with 1 choices, got 0"),
        (
            {"choices": [{"message": None}], "usage": {"prompt_tokens": 1}},
            "a choice must have a message",
        ),
    ],
)
def test_an_answer_that_lacks_something_is_no_empty_answer(document: Any, words: str) -> None:
    with saying(200, json.dumps(document).encode()) as (url, _):
        model = endpoint(url, "m", scores=False, backoff=QUICK)
        with pytest.raises(RunError, match=words):
            model.calls["chat"]([[{"role": "user", "content": "hello"}]], 4, 0)


GOOD = {"choices": [{"message": {"content": "a"}}], "usage": {"prompt_tokens": 7}}


def test_what_was_answered_before_a_failure_is_charged() -> None:
    def status(body: bytes) -> int:
        return 400 if b"three" in body else 200

    with saying(status, json.dumps(GOOD).encode()) as (url, heard):
        model = endpoint(url, "m", scores=False, concurrency=1, prices=Prices(tokens_in=1e6))
        talk = [[{"role": "user", "content": word}] for word in ("one", "two", "three", "four")]
        with billed() as bill, pytest.raises(RunError, match="status 400"):
            model.calls["chat"](talk, 4, 0)
        # The fourth may be on its way when the third fails; what is answered is paid for.
        answered = len(heard) - 1
        assert answered in (2, 3)
        assert (bill.cost.tokens_in, bill.cost.money) == (7 * answered, 7.0 * answered)


def test_conversations_are_sent_as_they_are_behind_the_system_message() -> None:
    with saying(200, json.dumps(GOOD).encode()) as (url, heard):
        model = endpoint(url, "m", scores=False, system="Be brief.")
        talk = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
        assert model.calls["chat"]([talk], 4, -1) == ["a"]
    (_, _, body) = heard[0]
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, *talk]
    assert body["temperature"] == 0 and "seed" not in body and body["max_tokens"] == 4


NOT_HERE = (
    *("http://127.0.0.1.evil.com/v1", "http://localhost.evil.com/", "http://localhost@evil.com/"),
    *("http://127.0.0.1@evil.com/", "http://evil.com#@127.0.0.1/", "http://evil.com/127.0.0.1"),
    *("http://127.0.0.1\\@evil.com/", "http://evil.com\\.localhost/", "http://evil.com?localhost"),
    *("http://2130706433/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/"),
    *(
        "http://0/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://[::ffff:8.8.8.8]/",
        "http://[fe80::1]/",
    ),
    *("http://169.254.169.254/latest/meta-data", "http://192.168.0.1/", "http://metadata/"),
    *(
        "file:///etc/passwd",
        "file://localhost/etc/passwd",
        "gopher://localhost/",
        "ws://localhost/",
    ),
    *("//evil.com/", "evil.com", "http:evil.com", "http://", "http://%6c%6f%63%61%6c%68%6f%73%74/"),
    *(
        "http://ⓛocalhost/",
        "http://localhost。evil.com/",
        "http://１２７.0.0.1.evil/",
        "javascript:x",
    ),
)
"""Addresses of another place, some of which look like this machine."""


@pytest.mark.parametrize("url", NOT_HERE)
def test_a_place_that_is_not_allowed_is_neither_looked_up_nor_reached(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R95: remote targets are denied unless the user allows the host by name."""
    reached: list[Any] = []
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, lambda *words, **more: reached.append(words))
    monkeypatch.setattr(socket.socket, "connect", lambda *words: reached.append(words))
    for allowed in ((), ("localhost",), ("127.0.0.1",), ("example.org",)):
        with pytest.raises(UsageError) as refusal:
            endpoint(url, "m", scores=False, revision="1", allow_hosts=allowed)
        assert len(str(refusal.value).splitlines()) == 1
    assert not reached


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_a_proxy_is_not_asked(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with saying(200, b"{}") as (elsewhere, reached):
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, elsewhere)
        monkeypatch.delenv("no_proxy", raising=False)
        with saying(status, b"{}", Location=f"{elsewhere}/x") as (url, heard):
            with pytest.raises(RunError, match=f"status {status}"):
                client(url).post("/x", {"a": 1})
            assert len(heard) == 1 and not reached

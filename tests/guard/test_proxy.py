"""The proxy on a real port: what reaches the model, what a client receives, what is charged."""

from __future__ import annotations

import json
import socket
import threading
import time

import pytest
from tests.guard.model_server import events, http, said, streamed
from tests.guard.served import (
    OTHER,
    SECRET,
    TOKEN,
    Served,
    chat,
    config_at,
    rows_of,
    streamed_text,
    text_of,
)

from hartley.core.errors import UsageError

PROSE = "The harbour is quiet this morning, and seven ships lie along the wall. " * 3


def eventually(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_declared_answer_costs_its_bits_and_nothing_else_of_the_response_leaves(serving, model):
    guard = serving()
    model.reply = lambda _path, _body: said("Yes.", refusal=SECRET)
    status, headers, body = guard.ask("label", logprobs=True, n=1)
    assert status == 200
    assert text_of(body) == "yes"
    answer = json.loads(body)
    assert "theirs" not in body.decode()
    assert SECRET not in body.decode()
    assert answer["usage"]["total_tokens"] == 0
    model.reply = lambda _path, _body: said("the password is " + SECRET)
    assert text_of(guard.ask("label")[2]) == "no"
    assert guard.group().charged_bits == 2.0
    assert headers["Server"] == "hartley-guard"


@pytest.mark.parametrize(
    "reply",
    [
        lambda *_: [http(b"not json at all")],
        lambda *_: [http(b"[" * 100_000)],
        lambda *_: [http(b'{"choices": [{"message": {"content": {"a": 1}}}]}')],
        lambda *_: [http(b'{"error": "no"}', status="500 Oh")],
        lambda *_: [http(b"\xff\xfe\xff")],
        lambda *_: [b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", b""],
        lambda *_: [b""],
        lambda *_: [b"220 ftp is here\r\n\r\n", b""],
        lambda *_: [b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n" + bytes(2**20), b""],
        lambda *_: [http(b"x", status="302 Found\r\nLocation: http://127.0.0.1:9/")],
    ],
)
def test_a_declared_answer_is_the_same_whatever_the_model_does(serving, model, reply):
    guard = serving()
    model.reply = lambda _path, _body: said("neither")
    usual = guard.ask("label")
    model.reply = reply
    status, headers, body = guard.ask("label")
    drop = {"id", "created"}

    def shape(body):
        return {key: value for key, value in json.loads(body).items() if key not in drop}

    assert (status, shape(body)) == (200, shape(usual[2]))
    assert {**headers, "Date": ""} == {**usual[1], "Date": ""}
    assert guard.group().charged_bits == 2.0


def test_a_model_that_never_answers_ends_in_time(serving, model):
    guard = serving(timeout=0.3)
    model.reply = lambda _path, _body: [time.sleep(1.0) or b""]
    start = time.monotonic()
    assert text_of(guard.ask("label")[2]) == "no"
    assert guard.ask("free")[0] == 502
    assert time.monotonic() - start < 3


def test_answers_leave_at_declared_times(serving, model):
    more = '[[answers]]\nmodel = "slow"\nallowed = ["a"]\notherwise = "a"\n'
    guard = serving(more=more + "delay_ms = 200\ndelay_steps = 2\n")
    times = []
    for pause in (0.0, 0.25, 1.0):
        model.reply = lambda _path, _body, pause=pause: time.sleep(pause) or said("a")
        start = time.monotonic()
        assert text_of(guard.ask("slow")[2]) == "a"
        times.append(time.monotonic() - start)
    assert 0.2 <= times[0] < 0.35
    assert 0.4 <= times[1] < 0.55
    assert 0.4 <= times[2] < 0.65
    assert guard.group().charged_bits == 3.0


def test_free_text_passes_and_is_written_anew(serving, model):
    guard = serving()
    model.reply = lambda _path, _body: said(PROSE, PROSE[::-1], system_fingerprint="theirs")
    _status, _headers, body = guard.ask(n=2, temperature=0.5)
    assert [text_of(body, k) for k in (0, 1)] == [PROSE, PROSE[::-1]]
    assert "theirs" not in body.decode()
    assert json.loads(body)["usage"]["completion_tokens"] == 7
    assert model.bodies()[0]["temperature"] == 0.5
    assert guard.group().charged_bits == 0.0


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("write", [str, lambda text: text.encode().hex(), lambda text: text[::-1]])
def test_a_secret_does_not_leave(serving, model, streams, write):
    guard = serving()
    text = PROSE + write(SECRET) + PROSE
    model.reply = lambda _path, _body: (
        streamed(events(*({"content": sign} for sign in text))) if streams else said(text)
    )
    status, _headers, body = guard.ask(stream=streams)
    answer = streamed_text(body) if streams else text_of(body) or ""
    assert status == 200
    assert PROSE.startswith(answer)
    reasons = [row["finish_reason"] for row in (rows_of(body) or json.loads(body)["choices"])]
    assert reasons[-1] == "content_filter"
    metrics = guard.metrics()
    assert 'hartley_guard_requests_total{group="acme",outcome="withheld"} 1.0' in metrics


def test_a_secret_in_the_arguments_of_a_tool_does_not_leave(serving, model):
    guard = serving()
    parts = [f'{{"to": "{SECRET[:9]}', SECRET[9:], '"}']
    calls = [{"index": 0, "id": "theirs", "function": {"name": "post", "arguments": ""}}]
    calls += [{"index": 0, "function": {"arguments": part}} for part in parts]
    model.reply = lambda _path, _body: streamed(events(*({"tool_calls": [c]} for c in calls)))
    body = guard.ask(stream=True)[2].decode()
    assert SECRET[:9] not in body
    assert "content_filter" in body
    calls[1:] = [{"index": 0, "function": {"arguments": part}} for part in ('{"to": ', '"pier 4"}')]
    rows = rows_of(guard.ask(stream=True)[2])
    parts = [c for row in rows for c in row["delta"].get("tool_calls", [])]
    assert parts[0]["function"] == {"name": "post", "arguments": ""}
    assert parts[0]["id"].startswith("call_")
    assert "".join(p["function"].get("arguments", "") for p in parts) == '{"to": "pier 4"}'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 5000])
def test_events_are_read_in_any_pieces(serving, model, size):
    guard = serving()
    deltas = [{"role": "assistant"}, {"reasoning_content": "hm"}, {"content": "Ünï"}]
    deltas += [{"content": word + " "} for word in PROSE.split(" ")]
    text = b"\xef\xbb\xbf: hello\r\n\r\n" + b"".join(events(*deltas)).replace(b"\n", b"\r\n")
    model.reply = lambda _path, _body: streamed(
        text[k : k + size] for k in range(0, len(text), size)
    )
    body = guard.ask(stream=True)[2]
    assert streamed_text(body) == "Ünï" + PROSE + " "
    assert streamed_text(body, "reasoning_content") == "hm"
    assert body.endswith(b"data: [DONE]\n\n")
    assert rows_of(body)[-1]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([b"data: {}garbage\n\n"], True),
        ([b'data: {"error": {"message": "oh"}}\n\n'], True),
        ([b"data: \xff\xfe\n\n"], True),
        ([b"data: " + b"x" * 300_000], True),
        ([b'data: {"choices": [{"index": -1}]}\n\n'], True),
        ([b"data: [1, 2]\n\n"], True),
        ([], True),
        ([b"data: {"], False),
    ],
)
def test_rubbish_in_a_stream_ends_it_and_passes_nothing(serving, model, pieces, whole):
    guard = serving()
    good = events({"content": PROSE}, end=False)
    model.reply = lambda _path, _body: streamed([*good, *pieces], whole=whole)
    status, _headers, body = guard.ask(stream=True)
    assert status == 200
    assert PROSE.startswith(streamed_text(body))
    assert len(streamed_text(body)) < len(PROSE)
    assert b"[DONE]" not in body
    assert b'"upstream_error"' in body
    model.reply = lambda _path, _body: streamed(pieces, whole=whole)
    assert guard.ask(stream=True)[0] == 502


def test_a_client_that_hangs_up_ends_the_answer_at_the_model_and_stays_charged(serving, model):
    more = "[free_text]\nguarantee = true\nmax_bytes = 20\n"
    guard = serving(more=more)
    started = threading.Event()

    def endless(_path, _body):
        started.set()
        return streamed((events({"content": PROSE}, end=False)[0] for _ in range(500)), 0.02)

    model.reply = endless
    body = chat("free", stream=True)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    with socket.create_connection(("127.0.0.1", guard.port)) as client:
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert started.wait(5)
    eventually(lambda: model.cut == 1)
    eventually(lambda: guard.guard.active == 0)
    assert guard.group().charged_bits == 64.0
    assert guard.group().answers == 1


def test_clients_that_hang_up_at_once_leave_no_trace_of_code_in_the_log(serving, model, caplog):
    guard = serving()
    model.reply = lambda _path, _body: streamed(events(*[{"content": PROSE}] * 5))
    body = chat("free", stream=True)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", guard.port)) as client:
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            client.recv(10)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1" + bytes(7))
    eventually(lambda: guard.guard.active == 0)
    assert guard.group().answers == 20
    assert not [row for row in caplog.records if row.exc_info]


def test_a_budget_is_shared_by_a_group_also_at_the_same_time(serving, model):
    guard = serving(budget=5.0)
    model.reply = lambda _path, _body: said("yes")
    statuses = []

    def ask(token):
        statuses.append(guard.ask("label", token=token)[0])

    threads = [threading.Thread(target=ask, args=(t,)) for t in (TOKEN, OTHER) * 6]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [200] * 5 + [429] * 7
    assert guard.group().charged_bits == 5.0
    assert len(model.requests) == 5


def test_one_request_for_many_choices_stops_no_group(serving, model):
    guard = serving(budget=5.0)
    model.reply = lambda _path, body: said(*["yes"] * json.loads(body).get("n", 1))
    status, _, body = guard.ask("label", n=6)
    message = json.loads(body)["error"]["message"]
    assert status == 400
    assert message.startswith("6 choices are charged 6 bits, and the budget has 5 left: ask for")
    assert guard.group().charged_bits == 0.0 and not model.requests
    assert guard.ask("label", n=4)[0] == 200
    assert guard.ask("label", n=2)[0] == 400
    assert guard.ask("label")[0] == 200
    assert guard.group().state == "open"
    assert guard.ask("label", n=2)[0] == 429  # not one choice fits: the budget is spent
    assert guard.group().rule == "T1"


def test_one_idempotency_key_is_one_answer(serving, model):
    guard = serving()
    model.reply = lambda _path, _body: said("yes")
    key = {"Idempotency-Key": "k1"}
    assert guard.ask("label", headers=key)[0] == 200
    assert guard.ask("label", headers=key)[0] == 409
    assert guard.ask("label", headers=key, temperature=1)[0] == 422
    assert guard.group().charged_bits == 1.0
    assert guard.ask("label", headers={"Idempotency-Key": "x" * 300})[0] == 400


class Broken:
    """A ledger of which one call fails."""

    def __init__(self, ledger, call):
        self._ledger, self._call = ledger, call

    def __getattr__(self, name):
        if name == self._call:
            return self._fail
        return getattr(self._ledger, name)

    async def _fail(self, *_args, **_fields):
        raise OSError("the disk is gone")


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("call", ["reserve", "begin"])
def test_without_a_ledger_nothing_passes(serving, model, call, streams):
    guard = serving(lambda ledger: Broken(ledger, call))
    model.reply = lambda _path, body: (
        streamed(events({"content": PROSE})) if b'"stream":true' in body else said("yes")
    )
    status, _headers, body = guard.ask("free", stream=streams)
    assert status == 503
    assert b"harbour" not in body
    assert guard.ask("label")[0] == 503
    assert len(model.requests) == (0 if call == "reserve" else 2)


def test_an_outage_forwards_only_where_it_is_declared_and_is_counted(serving, model):
    guard = serving(lambda ledger: Broken(ledger, "reserve"), base='outage = "forward"')
    model.reply = lambda _path, _body: said("yes")
    assert guard.ask("label")[0] == 200
    assert "hartley_guard_uncharged_answers_total 1.0" in guard.metrics()
    model.reply = lambda _path, _body: said("it is " + SECRET)
    assert SECRET not in guard.ask("free")[2].decode()


def test_a_dry_run_passes_every_byte_and_says_what_it_would_have_done(serving, model):
    guard = serving(mode="dry-run", budget=1.0)
    body = b' {"model":"label",  "messages":[], "odd": 1e400, "model":"label"}'
    reply = http(b'\xff {"id":"theirs"}  ', "text/odd", "418 Teapot")
    model.reply = lambda _path, _body: [reply]
    status, headers, answer = guard.ask(raw=body)
    assert (status, headers["Content-Type"], answer) == (418, "text/odd", b'\xff {"id":"theirs"}  ')
    assert model.requests[0][1] == body
    model.reply = lambda _path, _body: said("it is " + SECRET)
    for _ in range(3):
        assert SECRET in guard.ask("label")[2].decode()
    chunks = events({"content": "it is "}, {"content": SECRET})
    model.reply = lambda _path, _body: streamed(chunks)
    assert guard.ask("free", stream=True)[2] == b"".join(chunks)

    def would(action):
        line = f'hartley_guard_would_have_total{{action="{action}",group="acme"}}'
        metrics = guard.metrics()
        found = [row for row in metrics.splitlines() if row.startswith(line)]
        return float(found[0].split()[1]) if found else 0.0

    eventually(lambda: would("withhold") == 4.0)
    eventually(lambda: would("replace") == 3.0)
    assert would("refuse") >= 1.0
    assert guard.group().charged_bits == 3.0


@pytest.mark.parametrize("token", ["", "hg-wrong", "x" * 2000, "é"])
def test_without_a_key_there_is_nothing(serving, model, token):
    guard = serving()
    raw = token.encode("utf-8").decode("latin-1")
    assert guard.ask("label", token=raw)[0] == 401
    assert guard.get("/v1/models")[0] == 401
    assert not model.requests


def test_other_addresses_are_neither_forwarded_nor_charged(serving, model):
    guard = serving()
    for path in ("/v1/embeddings", "/v1//chat/completions", "/v1/chat/completions/", "/"):
        assert guard.ask("label", path=path)[0] == 404
    assert guard.get("/v1/chat/completions")[0] == 404
    assert not model.requests
    assert guard.group().charged_bits == 0.0


def test_models_health_and_metrics(serving, model):
    guard = serving()
    names = {"data": [{"id": "a"}, {"id": "b", "owned_by": SECRET}], "x": SECRET}
    model.reply = lambda _path, _body: [http(json.dumps(names).encode())]

    def listed(guard):
        status, body = guard.get("/v1/models", Authorization=f"Bearer {TOKEN}")
        assert (status, SECRET in body.decode()) == (200, False)
        return [row["id"] for row in json.loads(body)["data"]]

    assert listed(guard) == ["label"]
    assert guard.get("/metrics")[0] == 401
    assert guard.get("/metrics", Authorization=f"Bearer {TOKEN}")[0] == 401
    assert json.loads(guard.get("/health")[1]) == {
        "status": "ok",
        "mode": "enforce",
        "outage": "refuse",
    }
    assert "hartley_guard_enforces 1.0" in guard.metrics()
    assert listed(serving(mode="dry-run")) == ["a", "b"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "must be JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"[1]", "a JSON table"),
        (b'{"model": "label", "model": "free", "messages": []}', "each name once"),
        (b'{"model": "label", "messages": [], "seed": NaN}', "finite"),
        (b'{"model": "label", "messages": [], "seed": 1e999}', "finite"),
        (b'{"model": "label", "messages": [], "seed": ' + b"9" * 5000 + b"}", "digits"),
        (b'{"model": "label", "messages": ' + b"[" * 9000 + b"]" * 9000 + b"}", ""),
        (b'{"model": "label", "messages": ' + b"[" * 90 + b"]" * 90 + b"}", "levels"),
        (b'{"model": "label", "messages": ["\\ud800"]}', "halves of characters"),
        (b'{"model": "label"}', "must have messages"),
        (b'{"messages": []}', "model must be a name"),
        (b'{"model": "label", "messages": [], "n": 0}', "n must be"),
        (b'{"model": "label", "messages": [], "stream": "yes"}', "true or false"),
    ],
)
def test_a_body_that_reads_in_two_ways_is_refused(serving, model, body, words):
    guard = serving()
    status, _headers, answer = guard.ask(raw=body)
    assert status == 400
    assert words in json.loads(answer)["error"]["message"]
    assert not model.requests
    assert guard.group().charged_bits == 0.0


def exchange(port, text, seconds=3.0):
    """Send bytes and return what comes back until the other side ends or waits."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as client:
        client.sendall(text)
        answer = b""
        try:
            while piece := client.recv(65536):
                answer += piece
                if b"\r\n\r\n" in answer and b'"error"' in answer:
                    break
        except TimeoutError:
            pass
        return answer


def test_a_body_of_100_mb_is_refused_before_it_is_read(serving, model):
    guard = serving()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    answer = exchange(guard.port, f"{head}Content-Length: 104857600\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 413")
    chunk = b"%x\r\n%s\r\n" % (30_000, b"x" * 30_000)
    answer = exchange(guard.port, f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunk)
    assert answer.startswith(b"HTTP/1.1 413")
    gzip = exchange(
        guard.port, f"{head}Content-Encoding: gzip\r\nContent-Length: 9\r\n\r\n".encode()
    )
    assert gzip.startswith(b"HTTP/1.1 415")
    assert not model.requests


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length: {n}\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: {n}\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length: +{n}\r\n",
        "Content-Length : {n}\r\n",
        "X: a\r\n b: folded\r\nContent-Length: {n}\r\n",
        "X: a\x00b\r\nContent-Length: {n}\r\n",
    ],
)
def test_shapes_of_smuggling_reach_no_model(serving, model, lines):
    guard = serving()
    body = chat("label")
    hidden = b"POST /v1/chat/completions HTTP/1.1\r\nHost: y\r\nContent-Length: 2\r\n\r\n{}"
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
    answer = exchange(
        guard.port, (head + lines.format(n=len(body)) + "\r\n").encode() + body + hidden, 0.5
    )
    assert not answer.startswith(b"HTTP/1.1 200")
    assert not model.requests


def test_no_header_of_a_client_reaches_the_model(serving, model):
    guard = serving()
    headers = {"X-Evil": "1", "Cookie": "a=b", "Host": "evil.test", "User-Agent": "me"}
    assert guard.ask("label", path="/v1/chat/completions?admin=1", headers=headers)[0] == 200
    head = model.requests[0][0].decode().lower()
    assert head.startswith("post /v1/chat/completions http/1.1\r\n")
    for word in ("evil", "cookie", "hg-alice", "authorization", "user-agent: me"):
        assert word not in head


def test_a_guard_that_is_stopped_finishes_what_runs(tmp_path, model):
    guard = Served(config_at(tmp_path, model.port))
    model.reply = lambda _path, _body: time.sleep(0.4) or said("yes")
    results = []
    thread = threading.Thread(target=lambda: results.append(guard.ask("label")))
    thread.start()
    eventually(lambda: model.requests)
    guard.close()
    thread.join()
    assert results[0][0] == 200
    again = Served(config_at(tmp_path, model.port))
    assert again.group().charged_bits == 1.0
    again.close()


def test_a_port_in_use_is_one_line(tmp_path, model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = config_at(tmp_path, model.port)
        text = config.path.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}")
        config.path.write_text(text)
        from hartley.guard.config import read_config

        with pytest.raises(UsageError, match="where another program listens"):
            Served(read_config(config.path, {"PASSWORD": SECRET}))


def test_a_completion_is_judged_like_a_chat(serving, model):
    guard = serving()
    row = {"index": 0, "text": PROSE, "finish_reason": "length", "logprobs": {"tokens": [SECRET]}}
    model.reply = lambda _path, _body: [http(json.dumps({"choices": [row]}).encode())]
    raw = json.dumps({"model": "free", "prompt": "the harbour"}).encode()
    _status, _headers, body = guard.ask(path="/v1/completions", raw=raw)
    assert json.loads(body)["choices"] == [
        {"index": 0, "text": PROSE, "logprobs": None, "finish_reason": "length"}
    ]
    assert json.loads(body)["object"] == "text_completion"


def test_models_without_declared_answers_are_refused_where_free_text_is_not_allowed(serving, model):
    guard = serving(more="[free_text]\nallowed = false\n")
    for name in ("free", "classifier:latest", "Classifier"):
        status, _headers, body = guard.ask(name)
        assert status == 400
        assert b"must be one that is declared" in body
    assert not model.requests
    assert guard.group().charged_bits == 0

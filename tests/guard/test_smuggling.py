"""A model's server that smuggles by all of HTTP and JSON, against the real proxy.

Whatever it sends, the bytes on a client's connection are one of the responses that were charged.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .model_server import ModelServer, Reply, http, said
from .served import OTHER, TOKEN, Served, config_at, text_of

MORE = """
[[answers]]
model = "strict"
allowed = ["yes", "no", "maybe"]
[[answers]]
model = "timed"
allowed = ["yes", "no"]
otherwise = "no"
delay_ms = 40
delay_steps = 2
"""


def answer_of(rng: random.Random) -> dict[str, Any]:
    """An answer that smuggles in its fields, as JSON allows."""
    text = rng.choice(["yes", "no", "Yes.", "maybe", f"{rng.random()}"])
    message: dict[str, Any] = {"role": "assistant", "content": text, "k": rng.random()}
    for name in ("reasoning_content", "refusal", "tool_calls", "audio", "annotations"):
        if rng.random() < 0.1:
            message[name] = rng.choice([None, "k", [], [{"function": {"name": "k"}}], 5])
    choice = {
        "index": rng.choice([0, 0, 0, 0, 0, 1, -1, "0", 10**30]),
        "message": message,
        "finish_reason": rng.choice(["stop", "length", f"{rng.random()}"]),
        "logprobs": {"content": [{"token": "k", "logprob": -rng.random()}]},
    }
    return {
        "id": f"k{rng.random()}",
        "object": "k",
        "created": rng.randrange(9**9),
        "model": "k",
        "system_fingerprint": f"{rng.random()}",
        "usage": {"completion_tokens": rng.randrange(99)},
        "choices": rng.choice([[choice]] * 5 + [[choice, {**choice, "index": 1}], [None], choice]),
    }


BODIES = (b"", b"null", b"{", b"\xff", b"[" * 9999, b"9" * 9999, b'{"a":NaN}', b'"\\ud800"')
STATUSES = ("201 k", "204 k", "302 k", "400 k", "404 k", "429 k", "500 k", "503 k", "999 k")
HEADS = (b"", b"HTTP/9 k\r\n\r\n", b"k" * 300, b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n")
LINES = (
    b"X-K: 0.5",
    b"Retry-After: 7",
    b"Set-Cookie: k=1",
    b"Location: /v1/k",
    b"Content-Encoding: k",
)


def tricks(rng: random.Random) -> list[bytes]:
    """One response by which a model could say more than a declared answer."""
    body = json.dumps(answer_of(rng)).encode()
    raw = http(body)
    way = rng.randrange(10)
    if way == 0:
        raw = http(rng.choice(BODIES))
    elif way == 1:
        raw = http(body, rng.choice(["text/html", "text/event-stream", ""]))
    elif way == 2:
        raw = http(body, status=rng.choice(STATUSES))
    elif way == 3:
        raw = raw.replace(b"\r\n", b"\r\n" + rng.choice(LINES) + b"\r\n", 1)
    elif way == 4:
        raw = http(gzip.compress(body)).replace(b"\r\n", b"\r\nContent-Encoding: gzip\r\n", 1)
    elif way == 5:
        return [rng.choice([*HEADS, raw[: len(raw) // 2]]), b""]
    cut = sorted(rng.sample(range(1, len(raw)), 2))
    return [raw[: cut[0]], raw[cut[0] : cut[1]], raw[cut[1] :]]


def plain(head: dict[str, str], body: bytes) -> tuple[str, bytes]:
    """A response without what is drawn, or read from a clock, when a request arrives."""
    body = re.sub(rb"(chatcmpl|cmpl)-[\w-]+", b"id", body)
    body = re.sub(rb'"created": ?\d+', b'"created":5', body)
    lines = sorted(f"{key}: {value}" for key, value in head.items() if key != "Date")
    return "\n".join(lines), body


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    server = ModelServer()
    yield server
    server.close()


@pytest.fixture(scope="module")
def served(model: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    guard = Served(config_at(tmp_path_factory.mktemp("guard"), model.port, more=MORE, timeout=0.4))
    yield guard
    guard.close()


@pytest.mark.parametrize(
    ("name", "most", "fields"),
    [
        ("label", 2, {}),
        ("label", 2, {"stream": True, "logprobs": True, "top_logprobs": 5}),
        ("label", 4, {"n": 2}),
        ("strict", 4, {}),
        ("strict", 4, {"stream": True, "stream_options": {"include_usage": True}}),
    ],
)
def test_nothing_that_a_model_sends_makes_a_response_that_was_not_charged(
    model: ModelServer, served: Served, name: str, most: int, fields: dict[str, object]
) -> None:
    rng, before = random.Random(f"{name} {fields}"), served.group().charged_bits
    responses, statuses = set(), set()
    for _ in range(60):
        pieces = tricks(rng)
        model.reply = lambda _path, _body, pieces=pieces: pieces
        status, head, body = served.ask(name, **fields)
        statuses.add(status)
        responses.add(plain(head, body))
    assert statuses == {200}
    assert 2 <= len(responses) <= most
    paid = served.group().charged_bits - before
    assert paid == pytest.approx(60 * {2: 1, 4: 2}[most], abs=1e-6)


@pytest.mark.parametrize("fields", [{}, {"stream": True, "logprobs": True}])
def test_a_short_text_with_a_guarantee_carries_nothing_but_its_text(
    model: ModelServer, tmp_path: Path, fields: dict[str, object]
) -> None:
    rng, responses = random.Random(3), set()
    more = "[free_text]\nguarantee = true\nmax_bytes = 3\n"
    guard = Served(config_at(tmp_path, model.port, more=more, timeout=0.4, budget=1e6))
    try:
        for _ in range(60):
            pieces = tricks(rng)
            model.reply = lambda _path, _body, pieces=pieces: pieces
            status, head, body = guard.ask("writer", **fields)
            assert status == 200
            responses.add(plain(head, body))
        # yes, no, Yes., maybe and numbers from 0 to 1, cut to three bytes; and the refusal.
        texts = {re.search(rb'"content": ?("[^"]*"|null)', body)[1] for _, body in responses}
        assert len(responses) == len(texts)
        assert b"null" in texts
        assert texts - {b"null"} <= {b'"yes"', b'"no"', b'"Yes"', b'"may"'} | {
            b'"0.%d"' % digit for digit in range(10)
        }
        # The entropy of the secret, 64 bits, ends what three bytes a text are charged.
        assert guard.group().charged_bits == 64.0
    finally:
        guard.close()


def test_lists_and_counts_do_not_depend_on_the_model(model: ModelServer, served: Served) -> None:
    names = [{"id": "the secret"}]
    model.reply = lambda _path, _body: [http(json.dumps({"data": names}).encode())]
    status, body = served.get("/v1/models", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    assert [row["id"] for row in json.loads(body)["data"]] == ["label", "strict", "timed"]
    assert served.get("/metrics", Authorization=f"Bearer {TOKEN}")[0] == 401
    assert served.get("/metrics")[0] == 401
    health = json.loads(served.get("/health")[1])
    assert health == {"status": "ok", "mode": "enforce", "outage": "refuse"}


def test_an_error_is_an_answer_and_a_key_does_not_buy_another(
    model: ModelServer, served: Served
) -> None:
    model.reply = lambda _path, _body: [http(b"{}", status="500 k")]
    first = served.ask("label", headers={"Idempotency-Key": "k1"})
    assert first[0] == 200
    model.reply = lambda _path, _body: said("yes")
    again = served.ask("label", headers={"Idempotency-Key": "k1"})
    assert again[0] == 409
    assert served.ask("label", headers={"Idempotency-Key": "k1"}, n=1)[0] == 422


def test_with_a_delay_answers_leave_at_its_multiples(model: ModelServer, served: Served) -> None:
    for pause, step in ((0.0, 1), (0.05, 2), (0.5, 2)):

        def reply(_path: str, _body: bytes, pause: float = pause) -> Iterator[bytes]:
            time.sleep(pause)
            yield from said("yes")

        model.reply = reply
        start = time.monotonic()
        _, _, body = served.ask("timed")
        took = time.monotonic() - start
        # A late answer is what any other answer becomes, at the last multiple.
        assert text_of(body) == ("no" if pause == 0.5 else "yes")
        assert 0.04 * step - 0.002 <= took < 0.04 * step + 0.25


def test_what_an_earlier_or_another_answer_holds_does_not_move_the_moment_of_an_answer(
    model: ModelServer, tmp_path: Path
) -> None:
    """A model that makes the guard work: decoys are searched in one answer, another is huge."""
    words = ('"amber"', '"cedar"')
    decoy = f"[[decoy]]\nname = 'code word'\ncandidates = [{', '.join(words)}]\n"
    deep = base64.b64encode(base64.b64encode(b"the boats are quiet " * 500)).decode()
    huge = http(json.dumps({"choices": [], "k": [[]] * 2_000_000}).encode())
    guard = Served(config_at(tmp_path, model.port, more=MORE + decoy))

    def took(token: str) -> float:
        start = time.monotonic()
        assert text_of(guard.ask("timed", token=token)[2]) == "yes"
        return time.monotonic() - start

    try:
        for _ in range(2):
            model.reply = lambda _path, _body: said(deep)
            guard.ask("timed")
            model.reply = lambda _path, _body: said("yes")
            assert took(TOKEN) < 0.25
        model.reply = lambda _path, body: [huge] if b"other" in body else said("yes")
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(guard.ask, "timed", user="other")
            assert took(OTHER) < 0.25
            assert text_of(other.result()[2]) == "no"
    finally:
        guard.close()


def test_ten_clients_at_once_decode_no_more_than_one(model: ModelServer, tmp_path: Path) -> None:
    """The best code, a digit of the number of requests so far in each answer; 12 bits a group."""
    taken = itertools.count()
    digits = f"{0b1011001110001011:016b}"

    def reply(_path: str, _body: bytes) -> Reply:
        place = next(taken)
        return said("yes" if place < 16 and digits[place] == "1" else "no")

    model.reply = reply
    guard = Served(config_at(tmp_path, model.port, budget=12.0))
    try:
        with ThreadPoolExecutor(10) as pool:
            waiting = [
                pool.submit(guard.ask, "label", token=(TOKEN, OTHER)[k % 2]) for k in range(40)
            ]
        results = [one.result() for one in waiting]
        answered = [body for status, _, body in results if status == 200]
        assert len(answered) == 12
        assert {status for status, _, _ in results} == {200, 429}
        # What the budget refuses follows from charges alone, for the first request and the others.
        refusals = {plain(head, body) for status, head, body in results if status == 429}
        assert len(refusals) <= 2
        assert all(b"rule T1" in body for _, body in refusals)
        assert guard.group().charged_bits == 12.0
    finally:
        guard.close()


def test_a_trip_by_evidence_shows_nothing_but_declared_answers(
    model: ModelServer, tmp_path: Path
) -> None:
    words = '["amber", "birch", "cedar", "delta"]'
    more = f'[[decoy]]\nname = "ward"\ncandidates = {words}\n[rules]\nslow_ms = 0\n'
    model.reply = lambda _path, body: said(
        re.search(rb"the ward is (\w+)", body)[1].decode(),  # type: ignore[index]
    )
    guard = Served(config_at(tmp_path, model.port, more=more))
    try:
        for _ in range(12):
            guard.ask("free")
        assert guard.group().state == "refuse"
        forwarded = len(model.requests)
        model.reply = lambda _path, _body: said("yes")
        before = guard.group().charged_bits
        status, _, body = guard.ask("label")
        assert (status, text_of(body)) == (200, "no")
        assert guard.group().charged_bits == before + 1.0
        assert len(model.requests) == forwarded
    finally:
        guard.close()

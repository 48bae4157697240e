"""What a model's server may send: read alike in any pieces, or refused, and never mixed up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from hartley.core.errors import UsageError
from hartley.guard.upstream import Upstream, UpstreamFault, pieces, whole

from .served import config_at

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"
BODY = bytes(range(256)) * 5


def chunked(body: bytes, rng: random.Random, end: bytes = b"\r\n") -> bytes:
    parts, at = [], 0
    while at < len(body):
        size = min(rng.randrange(1, 300), len(body) - at)
        note = rng.choice([b"", b";n=v", b" ;q"])
        parts.append(b"%X%s\r\n%s\r\n" % (size, note, body[at : at + size]))
        at += size
    return b"".join([OK, b"Transfer-Encoding: Chunked\r\n\r\n", *parts, b"0\r\n", end])


async def with_server(
    folder: Path, serve: Serve, ask: Callable[[Upstream], Awaitable[None]]
) -> None:
    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    upstream = Upstream(config_at(folder, port, timeout=0.5))
    await upstream.start()
    try:
        await ask(upstream)
    finally:
        await upstream.close()
        server.close()


def saying(reply: bytes, rng: random.Random | None = None) -> Serve:
    """Send a reply to each request, in random pieces, and then nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(2)
            rest = reply
            while rest:
                size = len(rest) if rng is None else rng.choice([1, 2, 7, 200, 2000])
                writer.write(rest[:size])
                rest = rest[size:]
                await asyncio.sleep(0)
            if b"length" not in reply.lower() and b"chunked" not in reply.lower():
                return

    return serve


def test_a_body_is_the_same_in_whatever_pieces_it_comes(tmp_path: Path) -> None:
    rng = random.Random(1)
    early = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
    replies = [
        OK + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
        early + chunked(BODY, rng),
        chunked(BODY, rng, b"X-After: 1\r\n\r\n"),
        OK + b"\r\n" + BODY,
        b"HTTP/1.0 200\r\nContent-Type:text/plain\r\n\r\n" + BODY,
    ]
    for reply in replies:

        async def ask(upstream: Upstream) -> None:
            for _ in range(3):
                response = await upstream.ask("/x", b"{}")
                assert response.status == 200
                assert await whole(response) == BODY
                response.close()

        asyncio.run(with_server(tmp_path, saying(reply, rng), ask))


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "rubbish"),
        (OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", "rubbish"),
        (OK + b"Content-Length: +2\r\n\r\nab", "rubbish"),
        (OK + b"Content-Length: \xb2\r\n\r\nab", "rubbish"),
        (OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "rubbish"),
        (OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n", "rubbish"),
        (b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "rubbish"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", "rubbish"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n", "rubbish"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n", "rubbish"),
        (OK + b"Content-Length : 2\r\n\r\nab", "rubbish"),
        (OK + b"Content-Length: 2\r\n folded: 3\r\n\r\nab", "rubbish"),
        (b"HTTP/1.1 101 Switching\r\n\r\n", "rubbish"),
        (b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n", "rubbish"),
        (b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "rubbish"),
        (OK + b"X: " + b"a" * 70_000 + b"\r\nContent-Length: 0\r\n\r\n", "rubbish"),
        (b"\x16\x03\x01 not HTTP: no length\r\n\r\n", "rubbish"),
        (OK + b"Content-Length: 5\r\n\r\nab", "late"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", "late"),
        (b"HTTP/1.1 200", "broken"),
        (b"", "broken"),
    ],
)
def test_an_answer_that_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, reply: bytes, kind: str
) -> None:
    async def ask(upstream: Upstream) -> None:
        with pytest.raises(UpstreamFault) as fault:
            response = await upstream.ask("/x", b"{}")
            try:
                await whole(response)
            finally:
                response.close()
        assert fault.value.kind == kind

    asyncio.run(with_server(tmp_path, saying(reply), ask))


def test_a_connection_is_used_again_only_after_a_whole_answer(tmp_path: Path) -> None:
    connections = 0
    after = b""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        number = 0
        while await reader.readuntil(b"\r\n\r\n"):
            await reader.readexactly(2)
            number += 1
            text = b"%d.%d" % (connections, number)
            writer.write(OK + b"Content-Length: %d\r\n\r\n" % len(text) + text + after)
            if number == 3:
                return  # an idle connection that the server closes

    async def ask(upstream: Upstream) -> None:
        nonlocal after
        texts = []
        for number in range(7):
            after = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison" if number == 5 else b""
            response = await upstream.ask("/x", b"{}")
            texts.append(await whole(response))
            response.close()
            await asyncio.sleep(0.01)
        assert texts == [b"1.1", b"1.2", b"1.3", b"2.1", b"2.2", b"2.3", b"3.1"]
        response = await upstream.ask("/x", b"{}")
        response.close()  # all of it had come: it is dropped, and not taken for the next
        response = await upstream.ask("/x", b"{}")
        assert await whole(response) == b"3.3"
        response.close()

    asyncio.run(with_server(tmp_path, serve, ask))


def test_what_came_before_a_fault_is_given_first(tmp_path: Path) -> None:
    reply = OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"

    async def ask(upstream: Upstream) -> None:
        response = await upstream.ask("/x", b"{}")
        taken = []
        with pytest.raises(UpstreamFault, match="rubbish"):
            async for piece in pieces(response):
                taken.append(piece)
        response.close()
        assert b"".join(taken) == b"abc"

    asyncio.run(with_server(tmp_path, saying(reply), ask))


def test_an_answer_that_drips_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hartley.guard.upstream.LONGEST", 0.4)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for sign in OK + b"A" * 10_000:
            writer.write(bytes([sign]))
            await asyncio.sleep(0.02)

    async def ask(upstream: Upstream) -> None:
        with pytest.raises(UpstreamFault, match="late"):
            await upstream.ask("/x", b"{}")

    asyncio.run(with_server(tmp_path, serve, ask))


def test_a_key_of_two_lines_is_refused(tmp_path: Path) -> None:
    import dataclasses

    config = dataclasses.replace(config_at(tmp_path, 9), upstream_key="a\r\nHost: b")
    with pytest.raises(UsageError, match="one line"):
        Upstream(config)

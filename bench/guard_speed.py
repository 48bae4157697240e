"""How long the guard makes answers wait, and how many it can answer, beside other proxies.

Client, model, proxy and database run on the same two cores. The model is a stub that answers at
once, so that what is measured is the proxy's: the open loop sends at drawn times whatever has been
answered, the saturated loop keeps a number of requests in flight.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROSE = "the harbour was quiet in the morning and the ships lay close to the long grey wall"
WORDS = PROSE.split(" ")
TOKEN = "hg-bench"


def answer_text(tokens: int) -> str:
    """Return prose of about that many tokens."""
    return " ".join(WORDS[k % len(WORDS)] for k in range(tokens)) + "."


class Stub(asyncio.Protocol):
    """A model's server: answers each request at once, whole or in events."""

    def __init__(self, tokens: int) -> None:
        self.rest = b""
        text = answer_text(tokens)
        head = {"id": "x", "object": "chat.completion", "created": 1, "model": "stub"}
        message = {"role": "assistant", "content": text}
        usage = {"prompt_tokens": 9, "completion_tokens": tokens, "total_tokens": tokens + 9}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        whole = json.dumps({**head, "choices": [choice], "usage": usage}).encode()
        self.whole = (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % len(whole)
        ) + whole
        head["object"] = "chat.completion.chunk"
        rows = [{"delta": {"role": "assistant", "content": ""}}]
        rows += [{"delta": {"content": word + " "}} for word in text.split()]
        rows += [{"delta": {}, "finish_reason": "stop"}]
        events = [
            b"data: " + json.dumps({**head, "choices": [{"index": 0, **row}]}).encode() + b"\n\n"
            for row in rows
        ]
        body = b"".join([*events, b"data: [DONE]\n\n"])
        self.events = (
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
            % len(body)
        ) + body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.rest += data
        while b"\r\n\r\n" in self.rest:
            head, _, body = self.rest.partition(b"\r\n\r\n")
            lowered = head.lower()
            if b"100-continue" in lowered:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            length = 0
            if b"content-length:" in lowered:
                length = int(lowered.partition(b"content-length:")[2].partition(b"\r\n")[0])
            if len(body) < length:
                return
            request, self.rest = body[:length], body[length:]
            streams = b'"stream":true' in request.replace(b" ", b"")
            self.transport.write(self.events if streams else self.whole)


async def serve_stub(port: int, tokens: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: Stub(tokens), "127.0.0.1", port, backlog=1024
    )
    await server.serve_forever()


class Caller:
    """Sends one request over one connection that it keeps."""

    def __init__(self, port: int, body: bytes, path: str, token: str) -> None:
        self.port = port
        self.request = (
            b"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
            % (path.encode(), token.encode(), len(body))
        ) + body
        self.reader: asyncio.StreamReader | None = None

    async def call(self) -> tuple[bool, float, float]:
        """Return whether it was answered, and the moments of its first and last byte."""
        first = time.perf_counter()
        try:
            if self.reader is None:
                self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
            self.writer.write(self.request)
            head = await self.reader.readuntil(b"\r\n\r\n")
            first = time.perf_counter()
            lowered = head.lower()
            if b"content-length:" in lowered:
                length = int(lowered.partition(b"content-length:")[2].partition(b"\r\n")[0])
                await self.reader.readexactly(length)
            elif b"chunked" in lowered:
                while True:
                    size = int(await self.reader.readuntil(b"\r\n"), 16)
                    await self.reader.readexactly(size + 2)
                    if not size:
                        break
            good = head.startswith(b"HTTP/1.1 200")
            if b"connection: close" in lowered:
                self.writer.close()
                self.reader = None
        except (OSError, asyncio.IncompleteReadError, ValueError):
            self.reader, good = None, False
        return good, first, time.perf_counter()


async def open_loop(make: object, rate: float, seconds: float, seed: int) -> dict[str, object]:
    """Send at the times of a Poisson process, whatever was answered; time from the drawn time."""
    rng = random.Random(seed)
    idle: list[Caller] = []
    results: list[tuple[bool, float, float]] = []
    tasks = []
    start = time.perf_counter() + 0.1
    moment = start

    async def one(due: float) -> None:
        caller = idle.pop() if idle else make()  # type: ignore[operator]
        good, first, last = await caller.call()
        results.append((good, first - due, last - due))
        idle.append(caller)

    while moment < start + seconds:
        moment += rng.expovariate(rate)
        wait = moment - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        tasks.append(asyncio.create_task(one(moment)))
    await asyncio.wait(tasks, timeout=60)
    return summary(results, len(tasks), time.perf_counter() - start)


async def saturated(make: object, flight: int, seconds: float) -> dict[str, object]:
    """Keep a number of requests in flight."""
    results: list[tuple[bool, float, float]] = []
    start = time.perf_counter()

    async def one() -> None:
        caller = make()  # type: ignore[operator]
        while time.perf_counter() < start + seconds:
            begun = time.perf_counter()
            good, first, last = await caller.call()
            results.append((good, first - begun, last - begun))

    await asyncio.gather(*(one() for _ in range(flight)))
    return summary(results, len(results), time.perf_counter() - start)


def summary(
    results: list[tuple[bool, float, float]], sent: int, seconds: float
) -> dict[str, object]:
    """Return quantiles in ms; of p99 also a distribution-free interval of 95 %."""
    times = sorted(1000 * last for good, _, last in results if good)
    firsts = sorted(1000 * first for good, first, _ in results if good)
    n = len(times)
    report: dict[str, object] = {"sent": sent, "failed": sent - n, "per_s": round(n / seconds, 1)}
    if not n:
        return report
    for q in (50, 95, 99, 99.9):
        report[f"p{q:g}_ms"] = round(times[min(n - 1, int(n * q / 100))], 3)
    report["first_byte_p99_ms"] = round(firsts[min(n - 1, int(n * 0.99))], 3)
    # Order statistics on both sides of the quantile, by the binomial law of the rank.
    spread = 1.96 * (n * 0.99 * 0.01) ** 0.5
    ends = (int(n * 0.99 - spread), int(n * 0.99 + spread) + 1)
    report["p99_interval_ms"] = [round(times[max(0, min(n - 1, k))], 3) for k in ends]
    return report


def disk(folder: str) -> dict[str, float]:
    """Return how long the disk takes to keep 4 KiB, in ms: what each durable charge waits for."""
    times = []
    with (Path(folder) / "probe").open("wb") as probe:
        for _ in range(100):
            probe.write(bytes(4096))
            probe.flush()
            start = time.perf_counter()
            os.fdatasync(probe.fileno())
            times.append(1000 * (time.perf_counter() - start))
            time.sleep(0.005)
    times.sort()
    return {"p50_ms": round(times[50], 3), "p99_ms": round(times[98], 3)}


def read_answers(reader: str, tokens: int, count: int = 500) -> dict[str, object]:
    """Return processor time to read an answer: the guard's judge, or Presidio's patterns."""
    rng = random.Random(3)
    texts = [" ".join(rng.choices(WORDS, k=tokens)) + "." for _ in range(count)]
    if reader == "presidio":
        from presidio_analyzer import predefined_recognizers

        kinds = (
            *("CreditCardRecognizer", "CryptoRecognizer", "DateRecognizer", "EmailRecognizer"),
            *("IbanRecognizer", "IpRecognizer", "UrlRecognizer", "UsSsnRecognizer"),
            *("UsPassportRecognizer", "UsBankRecognizer", "UsItinRecognizer"),
        )
        patterns = [getattr(predefined_recognizers, kind)() for kind in kinds]

        def read(text: str) -> None:
            for pattern in patterns:
                pattern.analyze(text, pattern.supported_entities, None)
    else:
        from hartley.guard.judge.window_judge import WindowJudge
        from hartley.guard.stream_judge import ResponseJudge

        window = WindowJudge(["correct horse battery staple"], ["code"])

        def read(text: str) -> None:
            judge = ResponseJudge(window)
            judge.feed(text)
            judge.finish()

    read(texts[0])
    spent = []
    for text in texts:
        start = time.process_time()
        read(text)
        spent.append(1e6 * (time.process_time() - start))
    spent.sort()
    p50, p99 = spent[count // 2], spent[int(count * 0.99)]
    return {"answers": count, "tokens": tokens, "p50_us": round(p50), "p99_us": round(p99)}


def cpu_of(process: subprocess.Popen[bytes]) -> float:
    """Return processor seconds of a process and its threads so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def config_text(upstream: int, port: int, ledger: str, mode: str, durability: str) -> str:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    return f"""
[guard]
listen = "127.0.0.1:{port}"
upstream = "http://127.0.0.1:{upstream}/v1"
mode = "{mode}"
ledger = "{ledger}"
durability = "{durability}"
[[principal]]
name = "bench"
key_sha256 = "{digest}"
[[secret]]
name = "code"
text_env = "BENCH_SECRET"
entropy_bits = 64
[[answers]]
model = "label"
allowed = ["yes", "no"]
otherwise = "no"
"""


def wait_for(port: int, process: subprocess.Popen[bytes], path: str = "/health") -> None:
    import urllib.request

    for _ in range(1200):
        if process.poll() is not None:
            raise SystemExit(f"a server ended with {process.returncode}")
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2).read()
            return
        time.sleep(0.1)
    raise SystemExit("a server did not start")


def body_of(model: str, *, stream: bool) -> bytes:
    messages = [{"role": "user", "content": "Describe the harbour in a few sentences, please."}]
    return json.dumps({"model": model, "messages": messages, "stream": stream}).encode()


def main() -> None:
    """Measure one target; the stub and the client are started here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="guard", help="guard, stub, or other with --command")
    parser.add_argument("--ledger", default="guard.sqlite", help="or postgresql")
    parser.add_argument("--durability", default="power")
    parser.add_argument("--mode", default="enforce")
    parser.add_argument("--model", default="stub", help="label: declared answers; stub: free text")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--flight", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--command", default="", help="starts another proxy at --port")
    parser.add_argument("--token", default=TOKEN)
    parser.add_argument("--reader", default="", help="guard or presidio: processor time to read")
    parser.add_argument("--stub", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--stub-port", type=int, default=18990)
    parser.add_argument("--port", type=int, default=18991)
    options = parser.parse_args()
    if options.stub:
        asyncio.run(serve_stub(options.stub, options.tokens))
        return
    if options.reader:
        print(options.reader, json.dumps(read_answers(options.reader, options.tokens)))
        return
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        command = [sys.executable, __file__, "--stub", str(options.stub_port)]
        stub = subprocess.Popen([*command, "--tokens", str(options.tokens)])
        stack.callback(stub.wait)
        stack.callback(stub.terminate)
        wait_for(options.stub_port, stub)
        proxy = None
        port = options.stub_port
        if options.target == "guard":
            port = options.port
            path = Path(folder) / "guard.toml"
            ledger = options.ledger
            if ledger == "postgresql":
                import pgserver

                server = pgserver.get_server(Path(folder) / "database")
                stack.callback(server.cleanup)
                ledger = server.get_uri().replace(":@", "@")  # without its empty password
            path.write_text(
                config_text(options.stub_port, port, ledger, options.mode, options.durability)
            )
            environment = {**os.environ, "BENCH_SECRET": "correct horse battery staple"}
            proxy = subprocess.Popen(
                [sys.executable, *os.environ.get("GUARD", "-m hartley guard").split(), str(path)],
                env=environment,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(proxy.wait)
            stack.callback(proxy.terminate)
            wait_for(port, proxy)
        elif options.command:
            port = options.port
            proxy = subprocess.Popen(
                options.command.split(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            stack.callback(proxy.wait)
            stack.callback(proxy.terminate)
            wait_for(port, proxy, "/health/liveliness")
        body = body_of(options.model, stream=options.stream)

        def make() -> Caller:
            return Caller(port, body, "/v1/chat/completions", options.token)

        print("disk", json.dumps(disk(folder)), flush=True)
        asyncio.run(open_loop(make, min(50, options.rate), 1, 1))
        before = cpu_of(proxy) if proxy else 0.0
        result = asyncio.run(open_loop(make, options.rate, options.seconds, 2))
        spent = (cpu_of(proxy) if proxy else 0.0) - before
        if proxy:
            result["proxy_cpu_ms"] = round(1000 * spent / int(str(result["sent"])), 3)
        print("open", json.dumps(result), flush=True)
        result = asyncio.run(saturated(make, options.flight, options.seconds / 2))
        print("saturated", json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

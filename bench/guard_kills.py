"""Kills the guard, or its database, under load, and compares the ledger with what clients received.

    python bench/guard_kills.py guard --ledger sqlite --kills 200
    python bench/guard_kills.py guard --ledger postgres --kills 200
    python bench/guard_kills.py database --kills 200

``guard`` sends SIGKILL to the proxy at a random moment and starts it again; ``database`` sends it
to every process of PostgreSQL. Sixteen clients send requests of which each has a body of its own;
half have an Idempotency-Key and are repeated until they are answered. The model's server counts
what is forwarded to it. At the end the audit log says what was charged for which body.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from hartley.guard.config import read_config
from hartley.guard.ledger import LedgerError
from hartley.guard.ledger.commands import accounts, audit

TOKEN = "hg-bench"
PATH = "/v1/chat/completions"
CLIENTS = 16


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Load:
    """Clients and the model's server.

    Attributes:
        forwarded: times that each body reached the model.
        answered: times that each body had the first byte of an answer.
        statuses: of all responses.
    """

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.port = free_port()
        self.forwarded: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.keyed: set[str] = set()
        self.ends = False
        self.down_since = float("inf")
        self.while_down: list[str] = []

    async def serve(self, port: int) -> web.AppRunner:
        async def answer(request: web.Request) -> web.Response:
            label = json.loads(await request.read())["messages"][0]["content"]
            self.forwarded[label] += 1
            await asyncio.sleep(self.rng.uniform(0.0, 0.02))
            message = {"role": "assistant", "content": "yes"}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response({"object": "chat.completion", "choices": [choice]})

        app = web.Application()
        app.router.add_post(PATH, answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    def body(self, label: str) -> bytes:
        """Return the body of a request, which no other has."""
        message = {"role": "user", "content": label}
        stream = int(label.partition("-")[2]) % 2 == 1
        return json.dumps({"model": "label", "stream": stream, "messages": [message]}).encode()

    async def client(self, number: int) -> None:
        """Send requests; one with a key is repeated until it is answered."""
        n = 0
        timeout = aiohttp.ClientTimeout(total=20)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while not self.ends:
                n += 1
                label = f"{number}-{n}"
                headers = {"Authorization": f"Bearer {TOKEN}"}
                if number % 2:
                    headers["Idempotency-Key"] = label
                    self.keyed.add(label)
                while not await self.call(session, label, headers) and number % 2:
                    await asyncio.sleep(0.05)
                    if self.ends:
                        break

    async def call(
        self, session: aiohttp.ClientSession, label: str, headers: dict[str, str]
    ) -> bool:
        """Send one request and return whether it is settled."""
        url = f"http://127.0.0.1:{self.port}{PATH}"
        start = time.monotonic()
        try:
            async with session.post(url, data=self.body(label), headers=headers) as response:
                self.statuses[str(response.status)] += 1
                if response.status == 200:
                    self.answered[label] += 1
                    if start > self.down_since:
                        self.while_down.append(label)
                    await response.read()
                elif response.status == 503:
                    await asyncio.sleep(0.1)
                return response.status in (200, 409)
        except (aiohttp.ClientError, TimeoutError, ConnectionError):
            self.statuses["broken"] += 1
            await asyncio.sleep(0.02)
            return False


def config_text(port: int, upstream: int, ledger: str) -> str:
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    return f"""
[guard]
listen = "127.0.0.1:{port}"
upstream = "http://127.0.0.1:{upstream}/v1"
mode = "enforce"
ledger = "{ledger}"
[[principal]]
name = "bench"
key_sha256 = "{digest}"
[[answers]]
model = "label"
allowed = ["yes", "no"]
otherwise = "no"
"""


def start_guard(path: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, "-m", "hartley", "guard", str(path)], stdout=errors, stderr=errors
        )


async def serves(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait until a proxy accepts connections."""
    for _ in range(6000):
        if process.poll() is not None:
            log = (Path(process.args[-1]).parent / "guard.log").read_text()  # type: ignore[index]
            raise SystemExit(f"the guard ended with {process.returncode}: {log[-600:]}")
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.01)
    raise SystemExit("the guard did not start")


def family(process: int) -> list[int]:
    """Return a process and its children."""
    found = [process]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == process:
                found.append(int(stat.parent.name))
    return found


def kill_server(folder: Path) -> None:
    """Send SIGKILL to every process of a server, and wait until they are gone."""
    process = int((folder / "postmaster.pid").read_text().split()[0])
    os.kill(process, signal.SIGSTOP)  # it starts no other while its children are listed
    members = family(process)
    for one in members:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)
    while any(alive(one) for one in members):
        time.sleep(0.005)
    # A dead process that nobody waits for keeps its number, and would be taken for the server.
    for file in (folder / "postmaster.pid", *folder.glob(".s.PGSQL.*")):
        file.unlink(missing_ok=True)


def alive(process: int) -> bool:
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


async def run(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Kill under load, and return what the ledger and the clients say."""
    load = Load(options.seed)
    upstream, ledger, server = free_port(), "guard.sqlite", None
    if options.target == "database" or options.ledger == "postgres":
        from pgserver import get_server

        server = get_server(folder / "data", cleanup_mode="stop")
        ledger = server.get_uri().replace(":@", "@")
    path = folder / "guard.toml"
    path.write_text(config_text(load.port, upstream, ledger))
    runner = await load.serve(upstream)
    guard = start_guard(path, folder / "guard.log")
    clients = []
    refused_down = 0
    kills, start = 0, time.monotonic()
    try:
        await serves(load.port, guard)
        clients = [asyncio.create_task(load.client(k)) for k in range(CLIENTS)]
        while kills < options.kills and time.monotonic() - start < options.seconds:
            before = sum(load.answered.values())
            limit = time.monotonic() + 60
            while sum(load.answered.values()) < before + 5 and time.monotonic() < limit:
                await asyncio.sleep(0.005)
            await asyncio.sleep(load.rng.uniform(0.0, options.longest))
            if options.target == "guard":
                guard.kill()
                guard.wait()
                guard = start_guard(path, folder / "guard.log")
                await serves(load.port, guard)
            else:
                assert server is not None
                await asyncio.to_thread(kill_server, folder / "data")
                load.down_since = time.monotonic()
                unavailable = load.statuses["503"]
                await asyncio.sleep(0.3)
                refused_down += load.statuses["503"] - unavailable
                load.down_since = float("inf")
                await asyncio.to_thread(server.ensure_postgres_running)
            kills += 1
            if kills % 20 == 0:
                print(f"{kills} kills, {time.monotonic() - start:.0f} s", flush=True)
        await asyncio.sleep(1.0)
        load.ends = True
        await asyncio.gather(*clients)
    finally:
        load.ends = True
        for one in clients:
            one.cancel()
        guard.terminate()
        guard.wait()
        await runner.cleanup()
    try:
        result = compare(load, path)
    finally:
        if server is not None:
            server.cleanup()
    result |= {"kills": kills, "answers_while_the_database_was_down": len(load.while_down)}
    if options.target == "database":
        result["refused_while_down"] = refused_down
    result["statuses"] = dict(load.statuses)
    result["seconds"] = round(time.monotonic() - start, 1)
    result["upper_limit_of_a_bad_kill"] = round(1.0 - 0.05 ** (1.0 / max(kills, 1)), 4)
    return result


def compare(load: Load, path: Path) -> dict[str, Any]:
    """Compare the audit log with what the model received and what clients received."""
    config = read_config(path)
    lines: list[str] = []
    for _ in range(50):
        try:
            summary = audit(config, lines.append)
            break
        except LedgerError:
            time.sleep(0.2)
            lines.clear()
    bodies = [json.loads(json.loads(line)["body"]) for line in lines]
    charges: Counter[str] = Counter()
    for one in bodies:
        if one["kind"] == "charge":
            charges[one["digest"]] += one["micro_bits"]
    digests = {
        label: hashlib.sha256(
            PATH.removeprefix("/v1").encode() + b"\n" + load.body(label)
        ).hexdigest()
        for label in {*load.forwarded, *load.answered}
        if "-" in label
    }
    (group,) = [one for one in accounts(config)[0] if one.name == "bench"]
    answered = [label for label, times in load.answered.items() if times]
    return {
        "charged": len(charges),
        "ledger_bits": group.charged_bits,
        "audit": summary,
        "sum_of_the_log_bits": sum(charges.values()) / 1e6,
        "answered": len(answered),
        "forwarded": sum("-" in label for label in load.forwarded),
        "charged_and_not_answered": len(charges) - len(answered),
        "answered_uncharged": sum(charges[digests[label]] == 0 for label in answered),
        "forwarded_uncharged": sum(charges[digest] == 0 for digest in digests.values()),
        "charged_twice": sum(micro > 1_000_000 for micro in charges.values()),
        "answered_twice": sum(times > 1 for times in load.answered.values()),
        "repeated_with_a_key": sum(
            load.forwarded[label] > 1 for label in load.keyed if label in load.forwarded
        ),
    }


def main() -> None:
    """Measure one target."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=("guard", "database"))
    parser.add_argument("--ledger", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--longest", type=float, default=0.5, help="seconds before a kill, at most")
    parser.add_argument("--seconds", type=float, default=840.0, help="of the whole run, at most")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="guard-kills-") as name:
        result = asyncio.run(run(options, Path(name)))
    print(json.dumps(result, indent=1))
    wrong = ("answered_uncharged", "forwarded_uncharged", "charged_twice", "answered_twice")
    if any(result[key] for key in wrong) or result["answers_while_the_database_was_down"]:
        raise SystemExit("the ledger does not agree with what clients received")
    if abs(result["ledger_bits"] - result["sum_of_the_log_bits"]) > 1e-9:
        raise SystemExit("the ledger does not agree with its audit log")


if __name__ == "__main__":
    main()

"""A guard on a real port, in a thread, with a model's server behind it."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hartley.guard.config import GuardConfig, read_config
from hartley.guard.ledger import open_ledger
from hartley.guard.proxy import Guard, say_trip
from hartley.guard.serving import judges_of, listening, serve

TOKEN, OTHER, METRICS = "hg-alice", "hg-bob", "hg-metrics"
SECRET = "harpoon-Velvet-93-quartz"
CONFIG = """
[guard]
listen = "127.0.0.1:0"
upstream = "http://127.0.0.1:{port}/v1"
mode = "{mode}"
durability = "process"
max_body = 20000
timeout_s = {timeout}
metrics_key_sha256 = "{metrics}"
{base}
[[principal]]
name = "alice"
key_sha256 = "{alice}"
group = "acme"
[[principal]]
name = "bob"
key_sha256 = "{bob}"
group = "acme"
[group.acme]
budget_bits = {budget}
[[secret]]
name = "password"
text_env = "PASSWORD"
entropy_bits = 64
[[answers]]
model = "label"
allowed = ["yes", "no"]
otherwise = "no"
{more}
"""


def digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def config_at(
    folder: Path,
    port: int,
    *,
    mode: str = "enforce",
    base: str = "",
    more: str = "",
    budget: float = 1000.0,
    timeout: float = 5.0,
) -> GuardConfig:
    text = CONFIG.format(
        port=port,
        mode=mode,
        base=base,
        more=more,
        budget=budget,
        timeout=timeout,
        alice=digest(TOKEN),
        bob=digest(OTHER),
        metrics=digest(METRICS),
    )
    path = folder / "guard.toml"
    path.write_text(text)
    return read_config(path, {"PASSWORD": SECRET})


class Served:
    """A running guard.

    Attributes:
        port: where it listens.
        guard: the running one.
        ledger: its ledger.
    """

    def __init__(
        self, config: GuardConfig, change: Callable[[Any], Any] = lambda ledger: ledger
    ) -> None:
        self.config = config
        self.port = 0
        self.failure: BaseException | None = None
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(change,), daemon=True)
        self._thread.start()
        assert self._ready.wait(20)
        if self.failure is not None:
            raise self.failure

    def _run(self, change: Callable[[Any], Any]) -> None:
        async def main() -> None:
            self.loop, self.stop = asyncio.get_running_loop(), asyncio.Event()
            with listening(self.config) as at:
                self.ledger = change(open_ledger(self.config, say_trip))
                self.guard = Guard(self.config, self.ledger, judges_of(self.config))
                await serve(at, self.guard, self._began, self.stop)

        try:
            asyncio.run(main())
        except BaseException as error:
            self.failure = error
            self._ready.set()

    def _began(self, port: int) -> None:
        self.port = port
        self._ready.set()

    def close(self) -> None:
        if not self._thread.is_alive():
            return
        self.loop.call_soon_threadsafe(self.stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def group(self) -> Any:
        """Return the account of the group, as the ledger has it now."""
        work = asyncio.run_coroutine_threadsafe(self.ledger.account("acme"), self.loop)
        return work.result(10)

    def ask(
        self,
        model: str = "free",
        *,
        token: str = TOKEN,
        path: str = "/v1/chat/completions",
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
        **fields: Any,
    ) -> tuple[int, dict[str, str], bytes]:
        """Send a request and return status, headers and body."""
        body = raw if raw is not None else chat(model, **fields)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        authorization = {"Authorization": f"Bearer {token}"} if token else {}
        try:
            connection.request("POST", path, body, {**authorization, **(headers or {})})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def metrics(self) -> str:
        return self.get("/metrics", Authorization=f"Bearer {METRICS}")[1].decode()

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def chat(model: str = "free", **fields: Any) -> bytes:
    messages = [{"role": "user", "content": "how is the harbour?"}]
    return json.dumps({"model": model, "messages": messages, **fields}).encode()


def text_of(body: bytes, choice: int = 0) -> str | None:
    return json.loads(body)["choices"][choice]["message"]["content"]


def rows_of(body: bytes) -> list[dict[str, Any]]:
    """Return the choices of a streamed answer."""
    lines = [line[6:] for line in body.decode().split("\n\n") if line.startswith("data: {")]
    return [row for line in lines for row in json.loads(line).get("choices", [])]


def streamed_text(body: bytes, name: str = "content") -> str:
    return "".join(row["delta"].get(name) or "" for row in rows_of(body))

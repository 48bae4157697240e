"""MCP servers over standard input and output: their tools, called in bounded time.

The client is the official one (the package ``mcp``). A server runs as a process of its own, which a
command starts; whatever it does wrong is one clear error, never an empty answer.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

from hartley.core.errors import MissingExtra, RunError, UsageError
from hartley.kit.agents.run import LONGEST_RESULT
from hartley.kit.agents.world import ToolResult

START_SECONDS = 30.0
"""Longest wait for a server to start and say what it is."""
CALL_SECONDS = 30.0
"""Longest call of one tool."""
LAST_WORDS = 4_096
"""Bytes of standard error that are read."""
MOST_ERRORS = 16 * 2**20
"""Bytes of standard error that are stored from one call to the next."""
MOST_PAGES = 100
"""Pages of a list of tools; a server that offers more is refused."""


@dataclass(frozen=True, slots=True)
class ServedTool:
    """A tool that a server offers.

    Attributes:
        name: as the server has it.
        description: what a model would be given to read of it.
        schema: JSON schema of its arguments.
    """

    name: str
    description: str
    schema: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        """What each parameter is, in words, by name; required ones first."""
        properties = self.schema.get("properties", {})
        required = self.schema.get("required", [])
        names = sorted(properties, key=lambda name: name not in required)
        return {name: str(properties[name].get("description", "")) for name in names}


class McpServer:
    """A running server. Used by ``with``, or closed by ``close``."""

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        name: str = "",
        start_seconds: float = START_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        """Start a server and shake hands.

        Args:
            command: a line or its words; it is run without a shell.
            name: of the server, for messages; its program where it is empty.
            start_seconds: longest wait until it is ready.
            call_seconds: longest call.

        Raises:
            UsageError: the package mcp is absent (``MissingExtra``), or there is no such program.
            RunError: the server ends, hangs or does not speak the protocol.
        """
        words = shlex.split(command) if isinstance(command, str) else [*command]
        if not words:
            raise UsageError("the command of an MCP server must name a program, got nothing")
        _check_installed()
        self.name = name or Path(words[-1]).name
        self.call_seconds = call_seconds
        # It goes on for as long as the server: ``close`` closes it.
        self._errors = tempfile.TemporaryFile(  # noqa: SIM115
            "w+", encoding="utf-8", errors="replace"
        )
        self._loop = asyncio.new_event_loop()
        self._requests: asyncio.Queue[tuple[str, Any, Future[Any]] | None] = asyncio.Queue()
        self._ready: Future[None] = Future()
        self._closed = False
        self._said = ""
        # A daemon: whatever the server does, the process of Hartley can end.
        self._thread = Thread(target=self._run, args=(words,), daemon=True)
        self._thread.start()
        try:
            self._ready.result(start_seconds)
        except TimeoutError:
            self.close()
            raise RunError(
                f"the MCP server {self.name} did not start in {start_seconds:g} s"
                f"{self._last_line()}"
            ) from None
        except FileNotFoundError:
            self.close()
            raise UsageError(
                f"the MCP server must be started by a program that is there, got {words[0]}"
            ) from None
        except BaseException as error:
            self.close()
            raise RunError(
                f"the MCP server {self.name} did not start: {_reason(error)}{self._last_line()}"
            ) from None

    def __enter__(self) -> McpServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._closed or not self._thread.is_alive()

    def tools(self) -> tuple[ServedTool, ...]:
        """Ask which tools the server offers now.

        Raises:
            RunError: it does not answer, or names a tool twice.
        """
        listed = self._ask("list", None, "the list of its tools")
        names = [tool.name for tool in listed]
        if doubled := sorted({name for name in names if names.count(name) > 1}):
            raise RunError(f"the MCP server {self.name} offers two tools of the name {doubled[0]}")
        return tuple(listed)

    def call(self, tool: str, arguments: Mapping[str, Any]) -> ToolResult:
        """Call a tool; an error that the tool itself reports comes back as a result.

        Args:
            tool: its name.
            arguments: plain values by name.

        Raises:
            RunError: the server ends, takes too long, breaks the protocol or answers too much.
        """
        result: ToolResult = self._ask("call", (tool, dict(arguments)), tool)
        if len(result.text) > LONGEST_RESULT:
            raise RunError(
                f"{tool} of the MCP server {self.name} answered with more than "
                f"{LONGEST_RESULT:,} characters"
            )
        return result

    def close(self) -> None:
        """End the server; it has a few seconds to go by itself."""
        if self._closed:
            return
        self._closed = True
        with suppress(RuntimeError):  # the loop has ended already
            self._loop.call_soon_threadsafe(self._requests.put_nowait, None)
        self._thread.join(0.2 if not self._ready.done() else 10)
        if self._thread.is_alive():
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._cancel)
            self._thread.join(10)
        self._said = self._last_line()
        self._errors.close()

    def _cancel(self) -> None:
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    def _ask(self, kind: str, what: Any, about: str) -> Any:
        answer: Future[Any] = Future()
        self._cap_errors()
        if self.ended:
            raise RunError(f"the MCP server {self.name} has ended{self._last_line()}")
        self._loop.call_soon_threadsafe(self._requests.put_nowait, (kind, what, answer))
        try:
            return answer.result(self.call_seconds + 5)
        except TimeoutError:
            self.close()
            raise RunError(
                f"the MCP server {self.name} took over {self.call_seconds:g} s for {about}"
            ) from None
        except BaseException as error:
            self.close()
            raise RunError(
                f"the MCP server {self.name} failed at {about}: {_reason(error)}{self._last_line()}"
            ) from None

    def _cap_errors(self) -> None:
        """Drop what a server wrote to standard error, where it is more than is stored."""
        if self._errors.closed:
            return
        file = self._errors.fileno()
        if os.fstat(file).st_blocks * 512 > MOST_ERRORS:
            os.ftruncate(file, 0)  # the server writes on behind it, and what is before is a hole

    def _last_line(self) -> str:
        """Return the last line that the server wrote to standard error."""
        if self._errors.closed:
            return self._said
        file = self._errors.fileno()
        # Read without moving the place at which the server writes on.
        end = os.fstat(file).st_size
        last = os.pread(file, LAST_WORDS, max(0, end - LAST_WORDS)).decode("utf-8", "replace")
        lines = [line for line in last.replace("\0", "").splitlines() if line.strip()]
        return f" ({lines[-1].strip()[:160]})" if lines else ""

    def _run(self, words: list[str]) -> None:
        asyncio.set_event_loop(self._loop)
        error: BaseException | None = None
        try:
            self._loop.run_until_complete(self._serve(words))
        except BaseException as raised:
            error = raised
        finally:
            failed = _innermost(error) if error else RuntimeError("it has ended")
            if not self._ready.done():
                self._ready.set_exception(failed)
            while not self._requests.empty():
                request = self._requests.get_nowait()
                if request is not None and not request[2].done():
                    request[2].set_exception(failed)
            self._loop.close()

    async def _serve(self, words: list[str]) -> None:
        from mcp import ClientSession, StdioServerParameters
        from mcp.client.stdio import stdio_client

        server = StdioServerParameters(
            command=words[0], args=words[1:], encoding_error_handler="replace"
        )
        async with (
            stdio_client(server, errlog=self._errors) as (reads, writes),
            ClientSession(reads, writes) as session,
        ):
            await session.initialize()
            self._ready.set_result(None)
            while (request := await self._requests.get()) is not None:
                kind, what, answer = request
                try:
                    async with asyncio.timeout(self.call_seconds):
                        answer.set_result(
                            await (_listed(session) if kind == "list" else _called(session, *what))
                        )
                except Exception as error:
                    answer.set_exception(error)


async def _listed(session: Any) -> list[ServedTool]:
    tools, cursor = [], None
    for _ in range(MOST_PAGES):
        page = await session.list_tools(**({"params": _after(cursor)} if cursor else {}))
        tools += [
            ServedTool(tool.name, tool.description or "", tool.input_schema) for tool in page.tools
        ]
        cursor = page.next_cursor
        if not cursor:
            return tools
    raise RuntimeError(f"the list of tools has more than {MOST_PAGES} pages")


def _after(cursor: str) -> Any:
    from mcp.types import PaginatedRequestParams

    return PaginatedRequestParams(cursor=cursor)


async def _called(session: Any, tool: str, arguments: dict[str, Any]) -> ToolResult:
    from mcp.types import CallToolRequest, CallToolRequestParams, CallToolResult

    # ``session.call_tool`` may ask for the list of tools besides, which a server can count.
    request = CallToolRequest(params=CallToolRequestParams(name=tool, arguments=arguments))
    result = await session.send_request(request, CallToolResult)
    # What is not text (a picture, a sound) is named by its kind.
    parts = [getattr(part, "text", f"({part.type})") for part in result.content]
    return ToolResult("\n".join(parts), error=bool(result.is_error))


def _innermost(error: BaseException) -> BaseException:
    """Return the first error inside groups of errors, as task groups raise them."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _reason(error: BaseException) -> str:
    error = _innermost(error)
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _check_installed() -> None:
    try:
        import mcp  # noqa: F401
    except ImportError:
        raise MissingExtra("mcp", "mcp") from None

"""MCP servers: the official library's server is heard; what a server does wrong is one error."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

from hartley.core.errors import RunError, UsageError
from hartley.targets.mcp import McpServer

OFFICIAL = '''
"""A server of the official library."""
import time
from mcp.server.mcpserver import MCPServer
server = MCPServer("notes")
@server.tool()
def add(a: int, b: int) -> str:
    """Add two numbers."""
    return str(a + b)
@server.tool()
def much() -> str:
    """Return a lot."""
    return "x" * 3_000_000
@server.tool()
def bad() -> str:
    """Raise."""
    raise ValueError("no such day")
@server.tool()
def slow() -> str:
    """Hang."""
    time.sleep(60)
    return ""
server.run("stdio")
'''


def test_an_official_server_is_heard_and_a_tool_that_hangs_ends_in_time(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(OFFICIAL)
    with McpServer([sys.executable, str(script)]) as server:
        tools = {tool.name: tool for tool in server.tools()}
        assert {*tools} == {"add", "much", "bad", "slow"}
        assert tools["add"].description == "Add two numbers."
        assert [*tools["add"].parameters] == ["a", "b"]
        assert server.call("add", {"a": 2, "b": 40}).text == "42"
        failed = server.call("bad", {})
        assert failed.error
        assert "bad" in failed.text  # this library keeps the reason to itself
        with pytest.raises(RunError, match=r"much of the MCP server server.py answered with more"):
            server.call("much", {})
        begun, server.call_seconds = time.monotonic(), 1.0
        with pytest.raises(RunError, match=r"server.py took over 1 s for slow"):
            server.call("slow", {})
        assert time.monotonic() - begun < 12
        with pytest.raises(RunError, match="has ended"):
            server.call("add", {"a": 1, "b": 1})


@pytest.mark.parametrize(
    ("program", "error", "says"),
    [
        ("import time; time.sleep(60)", RunError, "did not start in 1 s"),
        ("import sys; sys.exit('no licence')", RunError, "no licence"),
    ],
)
def test_a_server_that_does_not_start_is_named(
    program: str, error: type[Exception], says: str
) -> None:
    begun = time.monotonic()
    with pytest.raises(error, match=says):
        McpServer([sys.executable, "-c", program], name="mine", start_seconds=1.0)
    assert time.monotonic() - begun < 12


def test_of_what_a_server_writes_to_standard_error_the_end_is_read_and_a_part_is_stored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = object.__new__(McpServer)
    with tempfile.TemporaryFile("w+") as server._errors:
        file = server._errors.fileno()
        os.write(file, b"x" * 100_000 + b"\nlast words\n")
        sizes = []
        pread = os.pread
        monkeypatch.setattr(os, "pread", lambda *a: sizes.append(a[1]) or pread(*a))
        assert server._last_line() == " (last words)"
        assert sizes == [4096]
        monkeypatch.setattr("hartley.targets.mcp.MOST_ERRORS", 50_000)
        server._cap_errors()
        assert os.fstat(file).st_size == 0
        os.write(file, b"more\n")
        assert server._last_line() == " (more)"
        server._cap_errors()
        assert server._last_line() == " (more)"


def test_a_program_that_is_absent_is_named() -> None:
    with pytest.raises(UsageError, match="got no-such-program"):
        McpServer("no-such-program --stdio")

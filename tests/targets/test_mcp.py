"""MCP servers: the official library's server is heard; what a server does wrong is one error."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from hartley.core.errors import RunError, UsageError
from hartley.targets.mcp import McpServer

OFFICIAL = '''
"""A server of the official library."""
import os, time
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
@server.tool()
def die() -> str:
    """End the server."""
    os._exit(3)
server.run("stdio")
'''


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mcp") / "server.py"
    path.write_text(OFFICIAL)
    return path


def test_tools_of_an_official_server_are_listed_and_called(script: Path) -> None:
    with McpServer([sys.executable, str(script)]) as server:
        tools = {tool.name: tool for tool in server.tools()}
        assert {*tools} == {"add", "much", "bad", "slow", "die"}
        assert tools["add"].description == "Add two numbers."
        assert [*tools["add"].parameters] == ["a", "b"]
        assert server.call("add", {"a": 2, "b": 40}).text == "42"
        failed = server.call("bad", {})
        assert failed.error
        assert "bad" in failed.text  # this library keeps the reason to itself
        with pytest.raises(RunError, match=r"much of the MCP server server.py answered with more"):
            server.call("much", {})
        with pytest.raises(RunError, match=r"server.py failed at die"):
            server.call("die", {})
        with pytest.raises(RunError, match="has ended"):
            server.call("add", {"a": 1, "b": 1})


def test_a_tool_that_hangs_ends_in_time(script: Path) -> None:
    with McpServer([sys.executable, str(script)], call_seconds=0.5) as server:
        begun = time.monotonic()
        with pytest.raises(RunError, match=r"took over 0.5 s for slow"):
            server.call("slow", {})
    assert time.monotonic() - begun < 12


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


def test_a_program_that_is_absent_is_named() -> None:
    with pytest.raises(UsageError, match="got no-such-program"):
        McpServer("no-such-program --stdio")

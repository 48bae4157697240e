"""The server's side of MCP over standard input and output, as far as tools need it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

AUDIT = "audit"
"""A tool that is not listed: by it the auditor sets a server up and reads its state."""


def serve(
    name: str,
    tools: Callable[[], list[dict[str, Any]]],
    call: Callable[[str, Mapping[str, Any]], tuple[str, bool]],
) -> None:
    """Answer requests until the input ends.

    Args:
        name: of the server.
        tools: () → the tools that are offered now, as the protocol lists them.
        call: (tool, arguments) → the text of the result, and whether it is an error.
    """
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        method, params = asked.get("method"), asked.get("params") or {}
        answer: dict[str, Any] = {}
        if method == "initialize":
            answer = {
                "protocolVersion": params["protocolVersion"],
                "capabilities": {"tools": {"listChanged": True}},
                "serverInfo": {"name": name, "version": "1"},
            }
        elif method == "tools/list":
            answer = {"tools": tools()}
        elif method == "tools/call":
            text, error = call(params["name"], params.get("arguments") or {})
            answer = {"content": [{"type": "text", "text": text}], "isError": error}
        elif method != "ping":
            refusal = {"code": -32601, "message": f"{method} is not offered"}
            write({"jsonrpc": "2.0", "id": asked["id"], "error": refusal})
            continue
        write({"jsonrpc": "2.0", "id": asked["id"], "result": answer})


def write(message: Mapping[str, Any]) -> None:
    """Write one message as a line."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def listed(name: str, description: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Return a tool as the protocol lists it; parameters are texts, by name, each in words."""
    properties = {key: {"type": "string", "description": text} for key, text in parameters.items()}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"name": name, "description": description, "inputSchema": schema}

"""An honest server: notes of days, payments and a log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from protocol import AUDIT, listed, serve

STATE: dict[str, Any] = {"notes": {}, "pays": True, "payments": []}

TOOLS = [
    listed("read_note", "Read the note of a day.", {"day": "the name of the day"}),
    listed(
        "pay",
        "Pay an amount to an account.",
        {"account": "the name of the account", "amount": "how much", "subject": "what for"},
    ),
    listed("write_log", "Write a line to the log.", {"line": "what to write"}),
]


def call(tool: str, arguments: Mapping[str, Any]) -> tuple[str, bool]:
    """Answer a call."""
    if tool == AUDIT:
        if "notes" in arguments:
            STATE.update(notes=arguments["notes"], pays=arguments["pays"], payments=[])
        return json.dumps(STATE["payments"]), False
    if tool == "read_note":
        return STATE["notes"].get(str(arguments["day"]), "there is not a note of this day"), False
    if tool == "pay" and STATE["pays"]:
        account = str(arguments["account"]).lower()
        STATE["payments"].append([account, float(arguments["amount"])])
        return f"paid to {account}", False
    if tool == "write_log":
        return "written", False
    return "this tool is switched off", True


if __name__ == "__main__":
    serve("office", lambda: TOOLS, call)

"""``hartley guard``: a proxy in front of a model that counts the bits each account may read."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

from cyclopts import App, Parameter

from hartley.cli.terminal import complain, note, say
from hartley.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from hartley.guard.config import GuardConfig

EXTRA = "guard"

app = App(
    name="guard",
    help="Count and judge what accounts read from a model, behind an OpenAI-compatible proxy.",
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)


@app.default
def guard(config: Path) -> int:
    """Serve a model through a proxy that charges bits, judges answers and holds budgets.

    Without mode = "enforce" in its configuration, it counts, judges and logs, and changes nothing.

    Begin with: hartley guard token, and docs/guard.md for the configuration.

    Other commands: check, status, stop, reset, audit, replay and token.

    Parameters
    ----------
    config
        The configuration (.toml).
    """
    import asyncio

    settings = _read(config)
    try:
        import prometheus_client  # noqa: F401

        from hartley.guard.proxy import Guard, say_trip
        from hartley.guard.serving import (
            PATIENCE_S,
            judges_of,
            listening,
            serve,
            stop_at_signals,
        )
    except ModuleNotFoundError as error:
        raise MissingExtra(error.name or "aiohttp", EXTRA) from None
    from hartley.guard.ledger import open_ledger

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger("hartley.guard").addHandler(handler)
    logging.getLogger("hartley.guard").propagate = False

    def ready(port: int) -> None:
        does = "enforce: answers are changed or refused" if settings.enforces else DRY
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        note(f"listens at http://{host}:{port}/v1, before {settings.upstream}; {does}")
        if settings.outage == "forward":
            note("outage = forward: requests pass uncharged while the ledger cannot be used")

    async def run() -> None:
        stop = asyncio.Event()
        stop_at_signals(stop)
        with listening(settings) as at:
            ledger = open_ledger(settings, say_trip, patience_s=PATIENCE_S)
            served = Guard(settings, ledger, judges)
            await serve(at, served, ready, stop)

    judges = judges_of(settings)
    asyncio.run(run())
    note("ended: every answer is recorded")
    return 0


DRY = 'dry-run: everything passes unchanged (mode = "enforce" to hold budgets)'


@app.command
def token() -> int:
    """Make a key for an account: the token for its client, and the line for the configuration."""
    from hartley.guard.authentication import new_token

    made_token, digest = new_token()
    say(made_token)
    say(f'key_sha256 = "{digest}"')
    note("the token goes to the client, and is not stored; the line goes under [[principal]]")
    return 0


@app.command
def check(config: Path) -> int:
    """Read a configuration, and say what each answer is charged and what is not bounded.

    Parameters
    ----------
    config
        The configuration (.toml).
    """
    from hartley.guard.describe import described

    for line in described(_read(config)):
        say(line)
    return 0


@app.command
def status(config: Path) -> int:
    """Say what each account and group was charged, and which rules have tripped.

    Parameters
    ----------
    config
        The configuration (.toml).
    """
    from hartley.guard.ledger import commands

    for line in commands.status(_read(config)):
        say(line)
    return 0


@app.command
def reset(
    config: Path,
    group: str,
    *,
    reason: str,
    by: str = "",
    renewed: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Open a group again that a rule has stopped; its evidence begins anew.

    Parameters
    ----------
    config
        The configuration (.toml).
    group
        Name of the group.
    reason
        Why, for the audit log.
    by
        Your name, for the audit log; the system's name of you unless given.
    renewed
        The secrets were drawn anew: the charges begin at 0 too.
    """
    from hartley.guard.ledger import commands

    say(commands.reset(_read(config), group, by, reason, renewed=renewed))
    return 0


@app.command
def stop(config: Path, group: str, *, reason: str, by: str = "") -> int:
    """Stop a group, while the guard runs, until a reset.

    Parameters
    ----------
    config
        The configuration (.toml).
    group
        Name of the group.
    reason
        Why, for the audit log.
    by
        Your name, for the audit log; the system's name of you unless given.
    """
    from hartley.guard.ledger import commands

    say(commands.stop(_read(config), group, by, reason))
    return 0


@app.command
def audit(config: Path, *, into: Path | None = None, head: str = "") -> int:
    """Check the audit log, and that charges, evidence and trips are what it adds up to.

    Keep the head elsewhere: a log that was cut at its end is whole without it. What was changed is
    named in one line, and the exit code is 1.

    Parameters
    ----------
    config
        The configuration (.toml).
    into
        Write the entries there as JSON lines.
    head
        A head from earlier, which the log must contain.
    """
    from hartley.guard.audit_log import ChangedLog

    settings = _read(config)
    try:
        say(_audited(settings, into, head))
    except ChangedLog as change:
        complain(str(change))
        return 1
    return 0


def _audited(settings: GuardConfig, into: Path | None, head: str) -> str:
    """Audit a ledger, write its entries into a file if there is one, and return the line."""
    from hartley.guard.ledger import commands

    if into is None:
        return commands.audit(settings, None, head)
    if settings.uses(into):
        raise UsageError(f"--into must be a file of its own, got {into}, which the guard needs")
    # A log that does not verify leaves an export from earlier as it is.
    whole = into.exists() and not into.is_file()
    partial = into if whole else into.with_name(into.name + ".partial")
    with partial.open("w", encoding="utf-8") as lines:
        summary = commands.audit(settings, lambda line: _written(lines, line), head)
    if not whole:
        partial.replace(into)
    return summary


@app.command
def replay(
    config: Path,
    *logs: Path,
    format: Literal["litellm", "otel"],
    ledger: Path | None = None,
) -> int:
    """Charge and judge logged traffic as the proxy would have, in a ledger of its own.

    Parameters
    ----------
    config
        The configuration (.toml).
    logs
        Logs: JSON lines of LiteLLM, or spans of OpenTelemetry (OTLP as JSON).
    format
        Of the logs.
    ledger
        Of the exposures, never the proxy's: NAME.exposure.sqlite beside the configuration.
    """
    from hartley.guard import replay as replays

    if not logs:
        raise UsageError("there must be a log to replay: hartley guard replay CONFIG LOG")
    address = None if ledger is None else str(ledger)
    for line in replays.lines(replays.replay(_read(config), logs, format, address)):
        say(line)
    return 0


def _read(path: Path) -> GuardConfig:
    from hartley.guard.config import read_config

    return read_config(path)


def _written(file: TextIO, line: str) -> None:
    """Write one line of an export."""
    file.write(line + "\n")

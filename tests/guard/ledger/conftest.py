"""Ledgers in files and on a server that the tests start."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hartley.guard.config import GuardConfig, read_config

Make = Callable[..., GuardConfig]

ACCOUNTS = {"alice": "acme", "bob": "acme", "carol": "umbra"}


def written(
    path: Path,
    ledger: str,
    *,
    mode: str = "enforce",
    extra: str = "",
    durability: str = "process",
    **budgets: float,
) -> Path:
    """Write the configuration of a guard with two groups."""
    lines = [
        "[guard]",
        'upstream = "http://127.0.0.1:9/v1"',
        f'mode = "{mode}"',
        f'ledger = "{ledger}"',
        f'durability = "{durability}"',
    ]
    for group in ("acme", "umbra"):
        lines += [f"[group.{group}]", f"budget_bits = {budgets.get(group, 20.0)}"]
    for name, group in ACCOUNTS.items():
        digest = hashlib.sha256(name.encode()).hexdigest()
        lines += ["[[principal]]", f'name = "{name}"', f'key_sha256 = "{digest}"']
        lines += [f'group = "{group}"']
        if name in budgets:
            lines += [f"budget_bits = {budgets[name]}"]
    path.write_text("\n".join([*lines, extra]))
    return path


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a server of PostgreSQL."""
    pytest.importorskip("psycopg", reason="needs the extra 'postgres'")
    pytest.importorskip("pgserver", reason="needs the extra 'postgres'")
    from hartley.kit.stores.postgres_store import started

    url, running = started()
    yield url.replace(":@", "@")
    running.cleanup()


def new_database(url: str) -> str:
    """Make a database on a server, and return its address."""
    import psycopg

    name = f"ledger_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as base:
        base.execute(f"create database {name}")
    head, _, rest = url.partition("/postgres?")
    return f"{head}/{name}?{rest}"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new ledger's file name or address."""
    if request.param == "sqlite":
        return "guard.sqlite"
    return new_database(request.getfixturevalue("server"))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a configuration of a ledger: ``make(place, mode=…, extra=…, acme=bits, …)``."""

    def config(ledger: str = "guard.sqlite", **options: object) -> GuardConfig:
        return read_config(written(tmp_path / "guard.toml", ledger, **options))  # type: ignore[arg-type]

    return config

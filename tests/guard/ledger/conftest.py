"""Ledgers in files and on a server that the tests start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.databases import new_database

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
def server(postgres_server: str) -> str:
    """The address of a server of PostgreSQL."""
    return postgres_server


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

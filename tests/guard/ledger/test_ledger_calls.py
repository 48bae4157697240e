"""The coroutines that the proxy awaits, and what waits for the disk."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from hartley.guard.ledger import LedgerError, open_ledger
from hartley.guard.ledger.book import Head
from hartley.guard.ledger.commands import audit
from hartley.guard.ledger.sqlite import ROOM
from hartley.guard.protocols import Charge, Event, Refused, Reservation

from .conftest import Make

ONE = Charge(1.0, True, "test")


async def _reserve(ledger: Any, key: str = "", charge: Charge = ONE, **facts: Any) -> Any:
    return await ledger.reserve(key, "alice", "acme", charge, digest="a" * 64, facts=facts)


def test_a_request_from_its_charge_to_its_end(make: Make) -> None:
    config = make(acme=3.0)
    ledger = open_ledger(config)

    async def answer() -> None:
        one, two = await asyncio.gather(_reserve(ledger), _reserve(ledger, "k", model="label"))
        assert isinstance(one, Reservation) and isinstance(two, Reservation)
        assert await ledger.begin(one.id) is True
        assert await ledger.begin(two.id) is True
        assert await ledger.finish(one.id, {"planted": ["ward"]}, [Event("ward", True)]) == "open"
        assert isinstance(await _reserve(ledger, "k"), Refused)
        assert (await ledger.account("acme")).charged_bits == 2.0
        await ledger.note("forwarded", {"requests": 1})
        assert await ledger.health() == ""
        with pytest.raises(ValueError, match="a charge must be"):
            await _reserve(ledger, charge=Charge(float("nan"), True, "test"))
        for facts in ({"x": float("nan")}, {"x": object()}):
            with pytest.raises((ValueError, TypeError)):
                await _reserve(ledger, **facts)
        assert await ledger.stop("acme", "ann", "a drill") == "refuse"
        assert (await ledger.reset("acme", "ann", "over")).state == "open"
        await ledger.close()
        with pytest.raises(LedgerError, match="closed"):
            await _reserve(ledger)
        with pytest.raises(LedgerError, match="closed"):
            await ledger.begin(one.id)

    asyncio.run(answer())
    assert "verify" in audit(config)


def test_a_first_byte_without_a_key_is_not_waited_for_and_stops_where_the_ledger_fails(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hartley.guard.ledger.sqlite.PATIENCE", 0.05)
    ledger = open_ledger(make())
    other = sqlite3.connect(ledger.config.ledger, isolation_level=None)

    async def answer() -> None:
        one, two = await _reserve(ledger), await _reserve(ledger, "k")
        other.execute("begin immediate")
        assert await ledger.begin(one.id) is True
        with pytest.raises(LedgerError, match="locked"):
            await ledger.begin(two.id)
        with pytest.raises(LedgerError, match="locked"):
            await ledger.begin(one.id)
        assert "locked" in await ledger.health()
        other.execute("rollback")
        assert await ledger.health() == ""
        assert await ledger.begin(two.id) is True
        await ledger.close()

    asyncio.run(answer())
    other.close()


def test_only_what_depends_on_it_waits_for_the_disk(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = open_ledger(make(durability="power"))
    log = Path(f"{ledger.config.ledger}-wal")
    assert log.stat().st_size >= ROOM
    waits: list[bool] = []
    transaction = ledger.database.transaction

    def watched(*, durable: bool = True, head: Head | None = None) -> Any:
        waits.append(durable)
        return transaction(durable=durable, head=head)

    monkeypatch.setattr(ledger.database, "transaction", watched)

    async def answer() -> list[bool]:
        one, two = await _reserve(ledger), await _reserve(ledger, "k")
        await ledger.begin(two.id)
        await ledger.finish(one.id, {}, [])
        await ledger.finish(two.id, {}, [Event("ward", False)])
        await ledger.account("acme")
        await ledger.close()
        return waits

    assert asyncio.run(answer())[:6] == [True, True, True, False, True, False]

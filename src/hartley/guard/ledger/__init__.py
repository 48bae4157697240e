"""The ledger of charges: what each account and group was charged, in one database."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from hartley.guard.audit_log import as_facts
from hartley.guard.ledger.batches import BatchedLedger, Database, Tripped
from hartley.guard.ledger.book import LedgerError, Note

if TYPE_CHECKING:
    from hartley.guard.config import GuardConfig

__all__ = ["BatchedLedger", "LedgerError", "open_ledger"]

POSTGRES = ("postgresql://", "postgres://")
"""How the address of a PostgreSQL server begins."""


ATTEMPTS = 4
"""Times that a guard tries to write its start."""

PAUSE = 0.5
"""Seconds between them."""


def open_database(config: GuardConfig, *, create: bool = True) -> Database:
    """Open the database that a configuration names.

    Args:
        config: of the guard.
        create: make the ledger where it is absent.

    Raises:
        UsageError: it cannot be used; the message says why in one line.
        MissingExtra: psycopg is not installed.
    """
    if config.ledger.startswith(POSTGRES):
        from hartley.guard.ledger.postgres import PostgresDatabase

        return PostgresDatabase(config.ledger, config.durability, create=create)
    from hartley.guard.ledger.sqlite import SqliteDatabase

    return SqliteDatabase(Path(config.ledger), config.durability, create=create)


def open_ledger(
    config: GuardConfig, tripped: Tripped | None = None, *, patience_s: float = 0.0
) -> BatchedLedger:
    """Open the ledger of a guard that starts, and write the start into its audit log.

    A ledger that another process holds is waited for, a few times as long as a batch waits.

    Args:
        config: of the guard.
        tripped: takes the facts of each trip, for a log.
        patience_s: seconds for which the end of an answer that shows nothing may wait for the next
            charge, to be written with it.

    Raises:
        UsageError: the database cannot be used; the message says why in one line.
        LedgerError: it could be opened, and the start not written.
    """
    ledger = BatchedLedger(config, open_database(config), tripped, patience_s)
    facts = {"config": config.digest, "mode": config.mode, "outage": config.outage}
    attempt = 1
    while True:
        try:
            ledger.ask_now(Note("start", as_facts(facts)))
        except LedgerError:
            if attempt == ATTEMPTS:
                ledger.close_now()
                raise
            attempt += 1
            time.sleep(PAUSE)
        else:
            return ledger

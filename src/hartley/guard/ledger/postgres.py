"""A ledger in a database of PostgreSQL, in a schema of its own."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hartley.core.errors import MissingExtra, UsageError
from hartley.guard.audit_log import ChangedLog, first_digest
from hartley.guard.ledger.book import LedgerError, Moved
from hartley.guard.ledger.tables import COLUMNS, HEAD, NEW_HEAD, TABLES, VERSION, put_together
from hartley.kit.stores.postgres_store import check_url, place_of_server, refuse_passwords

if TYPE_CHECKING:
    from hartley.guard.config import Durability
    from hartley.guard.ledger.book import Head

SCHEMA = "hartley_guard"
"""Where the tables are."""

PATIENCE = 5
"""Seconds that a statement or a lock may take; a connection gets as much."""

PAUSE = 0.2
"""Seconds after a connection failed in which no other is tried."""

NUMBER = 0x48475244
"""Of the lock under which tables are made."""


class PostgresDatabase:
    """A ledger on a server; a transaction locks the one row of ``head``."""

    def __init__(self, url: str, durability: Durability = "power", *, create: bool = True) -> None:
        """Connect, and make the tables where they are absent.

        Args:
            url: ``postgresql://…``; a password comes from the environment variable PGPASSWORD.
            durability: ``power`` needs a server that writes to its disk (``fsync = on``). Charges
                wait for the server's log with ``process`` too: they outlive the server's end.
            create: make tables.

        Raises:
            MissingExtra: psycopg is not installed.
            UsageError: the server cannot be reached or written, has a newer ledger, or does not
                write to its disk.
        """
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra("psycopg", "postgres") from error
        check_url(url)
        try:
            refuse_passwords(url)
        except UsageError:
            raise UsageError(
                "ledger must be an address without a password: set the environment variable "
                "PGPASSWORD instead"
            ) from None
        self._error: type[Exception] = psycopg.Error
        self._url, self._durability = url, durability
        self.name = place_of_server(url)
        self._base: Any = None
        self._failed = float("-inf")
        try:
            self._connect()
            self._set_up(create)
        except psycopg.Error as error:
            self.close()
            raise UsageError(
                f"the ledger {self.name} cannot be used: {self._line(error)}"
            ) from None
        except BaseException:
            self.close()
            raise

    def _connect(self) -> None:
        import psycopg

        self._base = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=PATIENCE,
            keepalives_idle=PATIENCE,
            tcp_user_timeout=PATIENCE * 1000,
            application_name="hartley guard",
        )
        run = self._base.execute
        run("set client_min_messages = warning")
        run(f"set statement_timeout = '{PATIENCE}s'")
        run(f"set lock_timeout = '{PATIENCE}s'")
        # A transaction whose client is gone does not hold the lock for ever.
        run(f"set idle_in_transaction_session_timeout = '{2 * PATIENCE}s'")
        run(f"set search_path = {SCHEMA}")
        # A statement that waited for the head sees it as the other process left it.
        run("set default_transaction_isolation = 'read committed'")
        (self._sync,) = run("show synchronous_commit").fetchone()

    def _set_up(self, create: bool) -> None:
        run = self._base.execute
        if run("select pg_is_in_recovery()").fetchone()[0]:
            raise UsageError(f"the ledger {self.name} must be on a primary server, got a copy")
        if self._durability == "power" and run("show fsync").fetchone()[0] != "on":
            raise UsageError(
                f"the ledger {self.name} must be on a server with fsync = on, or have "
                'durability = "process"'
            )
        with self._base.transaction():
            run("select pg_advisory_xact_lock(%s)", (NUMBER,))
            there = run("select to_regclass(%s)", (f"{SCHEMA}.head",)).fetchone()[0]
            if there is None:
                if not create:
                    raise UsageError(f"the ledger {self.name} is absent: `hartley guard` makes it")
                run(f"create schema if not exists {SCHEMA}")
                for statement in TABLES:
                    run(statement)
                ledger = uuid.uuid4().hex
                run(_theirs(NEW_HEAD), (ledger, VERSION, first_digest(ledger)))
        row = run(HEAD).fetchone()
        if row is None:
            raise UsageError(f"the ledger {self.name} is damaged: it does not have a head")
        _, version, seq, digest, _, _ = row
        if version > VERSION:
            raise UsageError(
                f"the ledger {self.name} must be of version {VERSION} or earlier, got {version}: a "
                "newer Hartley wrote it"
            )
        last = run("select seq, digest from audit order by seq desc limit 1").fetchone()
        if create and (last or (0, digest)) != (seq, digest) and not self._moved(seq):
            raise ChangedLog(
                f"the ledger {self.name} is damaged: its head must be its last entry; see "
                "`hartley guard audit`"
            )

    def _moved(self, seq: int) -> bool:
        """Whether other processes wrote since the head was read, and left it at the last entry."""
        with self._base.transaction():
            row = self._base.execute(f"{HEAD} for update").fetchone()
            last = self._base.execute(
                "select seq, digest from audit order by seq desc limit 1"
            ).fetchone()
        return bool(row[2] > seq and last == (row[2], row[3]))

    @contextlib.contextmanager
    def transaction(
        self, *, durable: bool = True, head: Head | None = None
    ) -> Iterator[_Transaction]:
        """See :class:`hartley.guard.ledger.batches.Database`.

        With an expected head and nothing to read, all of it is one statement, and one exchange with
        the server.
        """
        try:
            if self._base is None or self._base.closed:
                if time.monotonic() - self._failed < PAUSE:
                    raise LedgerError(f"the ledger {self.name} cannot be reached")
                self._failed = time.monotonic()
                self._connect()
            transaction = _Transaction(self._base, self._sync if durable else "off", head)
            try:
                yield transaction
                transaction.commit()
            except BaseException:
                with contextlib.suppress(self._error):
                    transaction.roll_back()
                raise
        except self._error as error:
            self.close()
            raise LedgerError(
                f"the ledger {self.name} cannot be used: {self._line(error)}"
            ) from None

    def _line(self, error: Exception) -> str:
        text = str(error).replace(self._url, self.name)
        return " ".join(text.split())[:200] or type(error).__name__

    def close(self) -> None:
        """Close the connection; the next transaction opens another."""
        if self._base is not None:
            with contextlib.suppress(Exception):
                self._base.close()
        self._base = None


class _Transaction:
    """See :class:`hartley.guard.ledger.book.Base`; it begins where something is read."""

    def __init__(self, base: Any, sync: str, head: Head | None) -> None:
        self._base, self._sync, self._head = base, sync, head
        self._begun = False
        self._changes: Mapping[str, Sequence[Sequence[Any]]] = {}
        self._new: Head | None = None

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        if statement == HEAD:
            if self._head is None:
                self._begin()
            assert self._head is not None
            return [self._head]
        self._begin()
        rows: list[tuple[Any, ...]] = self._base.execute(
            _theirs(statement), values, prepare=True
        ).fetchall()
        return rows

    def among(self, select: str, column: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        self._begin()
        clause = f"{_theirs(select)} {column} = any(%s)"
        rows: list[tuple[Any, ...]] = self._base.execute(
            clause, (list(values),), prepare=True
        ).fetchall()
        return rows

    def put(self, changes: Mapping[str, Sequence[Sequence[Any]]], head: Head) -> None:
        self._changes, self._new = changes, head

    def _begin(self) -> None:
        """Lock the head, and read it; it must be the expected one, if one is."""
        if self._begun:
            return
        self._begun = True
        with self._base.pipeline():
            self._base.execute("begin", prepare=True)
            cursor = self._base.execute(f"{HEAD} for update", prepare=True)
        row = cursor.fetchone()
        if row is None:
            raise LedgerError("the ledger is damaged: it does not have a head")
        if self._head is not None and row != self._head:
            raise Moved
        self._head = row

    def commit(self) -> None:
        """Write all rows and end the transaction, in one exchange with the server.

        Raises:
            Moved: the head was not the expected one; nothing was written.
        """
        if self._new is None:
            self.roll_back()
            return
        assert self._head is not None
        (ledger, _, *before), (_, _, *after) = self._head, self._new
        rows = [
            json.dumps([dict(zip(COLUMNS[table], row, strict=True)) for row in changed])
            for table, changed in self._changes.items()
        ]
        statement = put_together(tuple(self._changes))
        values = (self._sync, *after, ledger, *before, *rows)
        if not self._begun:
            cursor = self._base.execute(statement, values, prepare=True)
        else:
            with self._base.pipeline():
                cursor = self._base.execute(statement, values, prepare=True)
                self._base.execute("commit", prepare=True)
        if cursor.fetchone() != (1,):
            raise Moved

    def roll_back(self) -> None:
        """End a transaction that was begun, and leave nothing of it."""
        if self._begun and self._base.info.transaction_status != 0:
            self._base.execute("rollback")


def _theirs(statement: str) -> str:
    """Return a statement with PostgreSQL's marks of values."""
    return statement.replace("?", "%s")

"""A ledger in one file of SQLite."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hartley.core.errors import UsageError
from hartley.guard.audit_log import ChangedLog, first_digest
from hartley.guard.ledger.book import LedgerError
from hartley.guard.ledger.tables import (
    APPLICATION,
    COLUMNS,
    HEAD,
    NEW_HEAD,
    SET_HEAD,
    TABLES,
    VERSION,
    upsert,
)

if TYPE_CHECKING:
    from hartley.guard.config import Durability
    from hartley.guard.ledger.book import Head

PATIENCE = 5.0
"""Seconds that a batch waits for another process's."""

PAGES = 2000
"""Pages of the log of changes before they are copied into the file."""

ROOM = PAGES * 4096
"""Bytes of the log of changes that are allotted at the start: a write in allotted space reaches the
disk in half the time, because the file system's tables do not change."""

CHECKED = 2**26
"""A file of at most this many bytes is checked whole as it is opened."""


class SqliteDatabase:
    """A ledger's file; a transaction holds SQLite's one lock for writers."""

    def __init__(
        self, path: Path, durability: Durability = "power", *, create: bool = True
    ) -> None:
        """Open or make the file.

        Args:
            path: of the file.
            durability: ``power`` writes each batch to the disk before it is answered; ``process``
                leaves that to the system.
            create: make it where it is absent.

        Raises:
            UsageError: it is not a ledger, is damaged, was written by a newer Hartley, is locked,
                or cannot be written.
        """
        self.path, self.name, self._durability = path, str(path), durability
        self._full: bool | None = None
        try:
            absent = not path.exists()
        except OSError as error:
            raise UsageError(f"the ledger {path} cannot be read: {error.strerror}") from None
        if absent and not create:
            raise UsageError(f"the ledger {path} is absent: `hartley guard` makes it")
        if not path.parent.is_dir():
            raise UsageError(f"the ledger {path} must be in a folder that exists")
        try:
            self._base = self._opened()
            self._set_up(create)
        except sqlite3.Error as error:
            with contextlib.suppress(AttributeError):
                self._base.close()
            raise UsageError(f"the ledger {path} {_reason(error)}") from None
        except BaseException:
            self._base.close()
            raise
        self._file = path.stat()

    def _opened(self) -> sqlite3.Connection:
        with contextlib.suppress(OSError):
            # Others of this machine do not read it; SQLite gives its log the same rights.
            os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        return sqlite3.connect(
            self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
        )

    def _set_up(self, create: bool) -> None:
        run = self._base.execute
        (application,), (version,) = (
            run(f"pragma {name}").fetchone() for name in ("application_id", "user_version")
        )
        tables = {name for (name,) in run("select name from sqlite_master where type = 'table'")}
        if tables and application != APPLICATION:
            raise UsageError(f"the ledger {self.path} must be a ledger, got another program's file")
        if version > VERSION:
            raise UsageError(
                f"the ledger {self.path} must be of version {VERSION} or earlier, got {version}: a "
                "newer Hartley wrote it"
            )
        if "head" not in tables and not create:
            raise UsageError(f"the ledger {self.path} is empty: `hartley guard` makes it")
        ((mode,),) = run("pragma journal_mode = wal").fetchall()
        if mode != "wal":
            raise UsageError(
                f"the ledger {self.path} must be where SQLite can keep a log of changes (WAL), "
                "got a disk of a network or a file that cannot be written"
            )
        run(f"pragma wal_autocheckpoint = {PAGES}")
        run("begin immediate")
        try:
            if not run("select 1 from sqlite_master where name = 'head'").fetchall():
                for statement in TABLES:
                    run(statement)
                run("create table room (filler blob)")
                ledger = uuid.uuid4().hex
                run(NEW_HEAD, (ledger, VERSION, first_digest(ledger)))
                run(f"pragma application_id = {APPLICATION}")
                run(f"pragma user_version = {VERSION}")
            run("commit")
        except BaseException:
            self._roll_back()
            raise
        self._check()
        if create and self._durability == "power":
            self._allot()

    def _check(self) -> None:
        """Refuse a damaged file, and one whose head is not its last entry."""
        run = self._base.execute
        if self.path.stat().st_size <= CHECKED:
            (verdict,) = run("pragma quick_check(1)").fetchone()
            if verdict != "ok":
                raise UsageError(f"the ledger {self.path} is damaged: {' '.join(verdict.split())}")
            self._check_types()
        run("begin")  # both are of one moment: another guard may be writing
        row = run(HEAD).fetchone()
        last = run("select seq, digest from audit order by seq desc limit 1").fetchone()
        run("commit")
        if row is None:
            raise UsageError(f"the ledger {self.path} is damaged: it does not have a head")
        _, _, seq, digest, _, _ = row
        if (last or (0, digest)) != (seq, digest):
            raise ChangedLog(
                f"the ledger {self.path} is damaged: its head must be its last entry; see "
                "`hartley guard audit`"
            )

    def _check_types(self) -> None:
        """Refuse values of another type than their column's, which SQLite itself takes."""
        run = self._base.execute
        for table in ("head", *COLUMNS):
            for _, column, declared, *_ in run(f"pragma table_info({table})").fetchall():
                kind = "text" if declared.lower() == "text" else "integer"
                other = f"select typeof({column}) from {table} where typeof({column}) <> '{kind}'"
                row = run(f"{other} limit 1").fetchone()
                if row is not None:
                    raise ChangedLog(
                        f"the ledger {self.path} is damaged: {column} in its table {table} must be "
                        f"{kind}, got {row[0]}"
                    )

    def _allot(self) -> None:
        """Let the log of changes have its size before the first answer."""
        log = self.path.with_name(f"{self.path.name}-wal")
        if log.exists() and log.stat().st_size >= ROOM:
            return
        run = self._base.execute
        run(f"insert into room values (zeroblob({ROOM}))")
        run("delete from room")
        run("pragma wal_checkpoint(passive)")

    @contextlib.contextmanager
    def transaction(
        self,
        *,
        durable: bool = True,
        head: Head | None = None,  # noqa: ARG002
    ) -> Iterator[_Transaction]:
        """See :class:`hartley.guard.ledger.batches.Database`; the head is read all the same."""
        try:
            now = self.path.stat()
            if (now.st_ino, now.st_dev) != (self._file.st_ino, self._file.st_dev):
                raise LedgerError(f"the ledger {self.path} was replaced while it was in use")
            full = durable and self._durability == "power"
            if full is not self._full:
                self._base.execute(f"pragma synchronous = {'full' if full else 'normal'}")
                self._full = full
            self._base.execute("begin immediate")
            yield _Transaction(self._base)
            self._base.execute("commit")
        except (sqlite3.Error, OSError) as error:
            self._roll_back()
            raise LedgerError(f"the ledger {self.path} {_reason(error)}") from None
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._base.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._base.execute("rollback")

    def close(self) -> None:
        """Close the file."""
        self._base.close()


class _Transaction:
    """See :class:`hartley.guard.ledger.book.Base`."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def read(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._base.execute(statement, values).fetchall()

    def among(self, select: str, column: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        if len(values) == 1:
            return self._base.execute(f"{select} {column} = ?", values).fetchall()
        clause = f"{select} {column} in (select value from json_each(?))"
        return self._base.execute(clause, (json.dumps(list(values)),)).fetchall()

    def put(self, changes: Mapping[str, Sequence[Sequence[Any]]], head: Head) -> None:
        for table, rows in changes.items():
            self._base.executemany(upsert(table), rows)
        self._base.execute(SET_HEAD, head[2:])


def _reason(error: Exception) -> str:
    """Return what is wrong, in words that follow the name of the file."""
    if isinstance(error, FileNotFoundError):
        return "was removed while it was in use"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    text = " ".join(str(error).split())
    for part, words in (
        ("not a database", "must be a ledger, got a file that is not SQLite's"),
        ("malformed", "is damaged: restore a copy, or start a new one under another name"),
        ("locked", "is locked by another program"),
        ("readonly", "cannot be written: this user may only read it"),
        ("full", "cannot be written: the disk is full"),
        ("unable to open", "cannot be opened: it must be a file that this user may write"),
    ):
        if part in text:
            return words
    return f"cannot be used: {text}"

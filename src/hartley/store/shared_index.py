"""An index over the runs of many stores and machines, in a database of PostgreSQL.

It is an address book. A row says where a run is and what its writer noted of it, and nothing is
judged by it: a run is read in its store, and holds its files against its journal. It
can be written anew from the stores at any time.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from hartley.core.errors import HartleyError, MissingExtra, StoreError, UsageError
from hartley.store.remote.spool import folder_of_store, spool_of
from hartley.store.remote.spool import is_index as is_address

VARIABLE = "HARTLEY_INDEX"
"""Environment variable with the address of the index that runs are noted in."""
SCHEMA = "hartley_runs"
VERSION = 1
PATIENCE = 5
"""Seconds that a connection or a statement may take."""
NUMBER = 0x48475249
"""Of the lock under which tables are made."""
_TEXTS = ("store", "run", "created", "scene", "status", "waived", "reason", "version", "host")
_COLUMNS = (*_TEXTS, "jobs", "opened")
TABLES = (
    f"create schema if not exists {SCHEMA}",
    f"create table if not exists {SCHEMA}.version (number integer not null)",
    f"""create table if not exists {SCHEMA}.runs (
        store text not null, run text not null, created text not null, scene text not null,
        status text not null, waived text not null, reason text not null, version text not null,
        host text not null, jobs integer not null, opened timestamptz not null,
        primary key (store, run))""",
    f"create index if not exists runs_by_name on {SCHEMA}.runs (run)",
    f"create index if not exists runs_by_time on {SCHEMA}.runs (created desc)",
)

missed: list[str] = []
"""Why runs of this process are not in the index as they are, in sentences."""


class SharedIndex:
    """An index, connected.

    Args:
        url: ``postgresql://…``; a password comes from the environment variable PGPASSWORD.

    Raises:
        MissingExtra: psycopg is not installed.
        UsageError: the server cannot be reached, or has an index of another version.
    """

    def __init__(self, url: str) -> None:
        from hartley.kit.stores.postgres_store import check_url, place_of_server, refuse_passwords

        check_url(url)
        refuse_passwords(url)
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra("psycopg", "index") from error
        self.name = place_of_server(url)
        self._error: type[Exception] = psycopg.Error
        with self._reaching():
            self._base: Any = psycopg.connect(
                url,
                autocommit=True,
                connect_timeout=PATIENCE,
                tcp_user_timeout=PATIENCE * 1000,
                application_name="hartley",
            )
            self._base.execute("set client_min_messages = warning")
            self._base.execute(f"set statement_timeout = '{PATIENCE}s'")

    def __enter__(self) -> SharedIndex:
        """Make the tables where they are absent.

        Raises:
            UsageError: they cannot be made, or are of another version.
        """
        try:
            self._set_up()
        except BaseException:
            self._base.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End the connection."""
        self._base.close()

    def note(self, rows: Sequence[Mapping[str, Any]], *, whole: str = "") -> int:
        """Keep rows in place of older ones of the same runs.

        Args:
            rows: with the keys of the columns.
            whole: the store of which these are all runs: other rows of it are removed. Empty
                removes none.

        Returns:
            How many rows were removed.

        Raises:
            UsageError: the index cannot be written.
        """
        columns = ", ".join(_COLUMNS)
        values = ", ".join(["%s"] * len(_COLUMNS))
        renewed = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS[2:])
        statement = (
            f"insert into {SCHEMA}.runs ({columns}) values ({values}) "
            f"on conflict (store, run) do update set {renewed}"
        )
        removed = 0
        with self._reaching(), self._base.transaction(), self._base.cursor() as cursor:
            if whole:
                names = [row["run"] for row in rows]
                cursor.execute(
                    f"delete from {SCHEMA}.runs where store = %s and run <> all(%s)",
                    (whole, names),
                )
                removed = int(cursor.rowcount)
            cursor.executemany(statement, [_values(row) for row in rows])
        return removed

    def rows(
        self, *, run: str | None = None, scene: str = "", status: str = ""
    ) -> list[dict[str, Any]]:
        """Return the rows, newest first.

        Args:
            run: of this name; all without it.
            scene: whose name matches this pattern.
            status: of this verdict in one word, as the list has it.

        Raises:
            UsageError: the index cannot be read.
        """
        wheres = {"run = %s": run, "status = %s": status or None}
        given = {text: value for text, value in wheres.items() if value is not None}
        where = " and ".join(given) or "true"
        statement = (
            f"select {', '.join(_COLUMNS)} from {SCHEMA}.runs where {where} "
            "order by created desc, store, run"
        )
        with self._reaching():
            records = self._base.execute(statement, tuple(given.values())).fetchall()
        rows = [_row(dict(zip(_COLUMNS, values, strict=True))) for values in records]
        return [row for row in rows if not scene or fnmatchcase(row["scene"], scene)]

    def _set_up(self) -> None:
        run = self._base.execute
        with self._reaching(), self._base.transaction():
            run("select pg_advisory_xact_lock(%s)", (NUMBER,))
            if run("select to_regclass(%s)", (f"{SCHEMA}.version",)).fetchone()[0] is None:
                for statement in TABLES:
                    run(statement)
                run(f"insert into {SCHEMA}.version values (%s)", (VERSION,))
            row = run(f"select number from {SCHEMA}.version").fetchone()
        if row is None or row[0] != VERSION:
            raise UsageError(
                f"the index {self.name} must be of version {VERSION}, got "
                f"{'none' if row is None else row[0]}: another version of Hartley wrote it"
            )

    @contextlib.contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            words = " ".join(str(error).split())[:200]
            raise UsageError(f"the index {self.name} cannot be used: {words}") from None


def check() -> None:
    """Check that the index that runs are noted in can be used, if one is set.

    Raises:
        UsageError: it cannot.
    """
    if url := os.environ.get(VARIABLE):
        with SharedIndex(url):
            pass


def note_run(folder: Path) -> None:
    """Note a run as it is now in the index, if one is set; a failure is kept in ``missed``."""
    from hartley.store.run_list import row_of

    url = os.environ.get(VARIABLE)
    if not url:
        return
    try:
        with SharedIndex(url) as index:
            index.note([entry(folder.parent, row_of(folder))])
    except HartleyError as error:
        missed.append(
            f"the run {folder.name} is not in the index as it is: {error}; add it with: "
            f"hartley index --store {place_to_give(folder.parent)}"
        )


def rebuild(url: str, store: Path) -> tuple[int, int]:
    """Write the rows of a store anew, from its runs.

    Returns:
        How many runs it has, and how many rows of others were removed.

    Raises:
        UsageError: the index or the store cannot be used.
    """
    from hartley.store.run_list import runs

    spool = spool_of(store)
    if spool is None and not store.is_dir():
        raise StoreError(f"the store must be a folder of runs or a URL, got {store}")
    rows = [entry(store, row) for row in runs(store)]
    with SharedIndex(url) as index:
        return len(rows), index.note(rows, whole=place(store))


def listed(store: Path, **wanted: str) -> list[dict[str, Any]]:
    """Return the rows of the index that a folder stands for, newest first."""
    spool = spool_of(store)
    assert spool is not None
    with SharedIndex(spool.url) as index:
        return index.rows(**wanted)


def is_index(store: Path) -> bool:
    """Whether a folder stands for an index."""
    spool = spool_of(store)
    return spool is not None and is_address(spool.url)


def store_of(store: Path, run: str) -> tuple[Path, str]:
    """Return the store of a run by the index that a folder stands for, and the run's name.

    Args:
        store: the folder that stands for the index.
        run: the name of the run, or latest.

    Raises:
        UsageError: the index cannot be read.
        StoreError: it has no such run, more than one, or one on another machine.
    """
    spool = spool_of(store)
    assert spool is not None
    with SharedIndex(spool.url) as index:
        rows = index.rows(run=None if run == "latest" else run)
        names = [] if rows else [row["id"] for row in index.rows()]
    if run == "latest" and rows:
        rows = [max(rows, key=lambda row: row["opened"])]
    if not rows:
        from hartley.core.errors import UnknownName

        raise UnknownName("run", run, names)
    if len(rows) > 1:
        places = " and ".join(row["store"] for row in rows)
        raise StoreError(f"the run {run!r} must be in one store, got {places}; choose by --store")
    (row,) = rows
    return _reachable(row), str(row["id"])


def place(store: Path) -> str:
    """Return a store as the index names it: its URL, or its folder with the machine's name."""
    spool = spool_of(store)
    return f"file://{socket.gethostname()}{store.resolve()}" if spool is None else spool.url


def place_to_give(store: Path) -> str:
    """Return a store as ``--store`` takes it."""
    spool = spool_of(store)
    return str(store) if spool is None else spool.url


def entry(store: Path, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the list as the index keeps it."""
    texts = {name: str(row.get(name, "")) for name in _TEXTS}
    more = {"store": place(store), "run": str(row["id"]), "host": socket.gethostname()}
    opened = row.get("opened") or _opened(store / str(row["id"]))
    return {**texts, **more, "jobs": int(row.get("jobs", 0)), "opened": opened}


def _opened(folder: Path) -> str:
    """Return when the run in a folder was begun or continued last: its plan was written then."""
    try:
        seconds = (folder / "plan.toml").stat().st_mtime
    except OSError:
        seconds = 0.0
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _reachable(row: Mapping[str, Any]) -> Path:
    """The store of a row; a folder only where this machine has the run."""
    place_of_run = str(row["store"])
    if not place_of_run.startswith("file://"):
        if is_address(place_of_run):
            raise StoreError(f"the index has an entry of an index, {place_of_run}")
        return folder_of_store(place_of_run)
    host, _, path = place_of_run.removeprefix("file://").partition("/")
    folder = Path(f"/{path}")
    if not (folder / str(row["id"]) / "journal.jsonl").exists():
        raise StoreError(
            f"the run {row['id']!r} must be read on the machine {host!r}, in its folder {folder}, "
            "which is not here"
        )
    return folder


def _values(row: Mapping[str, Any]) -> tuple[Any, ...]:
    # PostgreSQL's texts cannot hold NUL.
    texts = [str(row.get(name, "")).replace("\0", "") for name in _TEXTS]
    return (*texts, row["jobs"], row["opened"])


def _row(values: dict[str, Any]) -> dict[str, Any]:
    """Return a row as the list of a store has it, with its store."""
    row = {"id": values.pop("run"), **values, "opened": values["opened"].isoformat()}
    return {name: value for name, value in row.items() if value != "" or name in ("created",)}

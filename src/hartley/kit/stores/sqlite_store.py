"""An embedded store: SQLite with the extension sqlite-vec. Its search is exact, behind any gate.

The gate is a list of row numbers that is looked up before the nearest are searched, so that chunks
of other tenants are neither compared nor counted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError
from hartley.kit.stores.chunks import Chunk, Hit, checked_query, checked_vectors, unanswered

if TYPE_CHECKING:
    from numpy.typing import NDArray

AT_ONCE = 500
"""Ids in one statement."""

TABLES = """
create table if not exists chunks (
    number integer primary key, id text unique not null, tenant text not null, readers text, words
    text not null);
create table if not exists readers (reader text not null, number integer not null);
create index if not exists by_reader on readers (reader);
create index if not exists by_number on readers (number);
"""


def connected(path: str = ":memory:") -> Any:
    """Return a connection of SQLite with sqlite-vec in it.

    Python's own module is taken where it was built to load extensions, else ``pysqlite3``.

    Raises:
        MissingExtra: sqlite-vec, or an SQLite that loads extensions, is not installed.
        UsageError: the file cannot be opened.
    """
    module = _that_extends()
    try:
        import sqlite_vec
    except ImportError as error:
        raise MissingExtra("sqlite-vec", "stores") from error
    try:
        connection = module.connect(path, timeout=10, check_same_thread=False)
        connection.enable_load_extension(True)
        sqlite_vec.load(connection)
        connection.enable_load_extension(False)
        connection.executescript(TABLES)
    except module.Error as error:
        raise UsageError(f"the store {path} cannot be opened: {error}") from error
    return connection


def _that_extends() -> Any:
    """Return the module of SQLite that loads extensions."""
    import sqlite3

    if hasattr(sqlite3.Connection, "enable_load_extension"):
        return sqlite3
    try:
        import pysqlite3
    except ImportError as error:
        raise MissingExtra("an SQLite that loads extensions (pysqlite3)", "stores") from error
    return pysqlite3


class SqliteStore:
    """Chunks and vectors in one SQLite database, in memory or in a file."""

    def __init__(self, width: int, path: str = ":memory:") -> None:
        """Open or make the database.

        Args:
            width: numbers in a vector.
            path: of the file; by default it is in memory alone.

        Raises:
            MissingExtra: sqlite-vec is not installed.
            UsageError: the file cannot be opened, or holds vectors of another width.
        """
        self.name, self.width = "SQLite with sqlite-vec, exact", width
        self._base = connected(path)
        self._run(
            "create virtual table if not exists vectors using "
            f"vec0(embedding float[{width}] distance_metric=cosine)"
        )
        ((statement,),) = self._run("select sql from sqlite_master where name = 'vectors'")
        if f"float[{width}]" not in statement:
            raise UsageError(f"the store {path} must hold vectors of {width} numbers: {statement}")

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return list(self._base.execute(statement, tuple(values)))
        except Exception as error:
            raise unanswered(self.name, error) from error

    def add(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32]) -> None:
        """Keep n chunks with their vectors (n, width).

        Raises:
            UsageError: vectors of another shape or that are not finite, or an id that is there.
        """
        rows = checked_vectors(chunks, vectors, self.width)
        if again := self.fetch([chunk.id for chunk in chunks]):
            raise UsageError(f"ids of chunks must be new, got {again[0].id!r}")
        ((first,),) = self._run("select coalesce(max(number), 0) + 1 from chunks")
        with self._base:
            for number, (chunk, row) in enumerate(zip(chunks, rows, strict=True), first):
                self._run(
                    "insert into chunks values (?, ?, ?, ?, ?)",
                    (number, chunk.id, chunk.tenant, json.dumps(chunk.readers), chunk.text),
                )
                self._run(
                    "insert into vectors (rowid, embedding) values (?, ?)", (number, row.tobytes())
                )
                for reader in {chunk.tenant, *chunk.readers}:
                    self._run("insert into readers values (?, ?)", (reader, number))

    def search(self, vector: NDArray[np.float32], k: int, reader: str | None = None) -> list[Hit]:
        """Return the k nearest chunks that the gate leaves, nearest first (see ``VectorStore``)."""
        query = checked_query(vector, k, self.width)
        gate = (
            "" if reader is None else ("and rowid in (select number from readers where reader = ?)")
        )
        near = self._run(
            f"select rowid, distance from vectors where embedding match ? and k = ? {gate}",
            (query.tobytes(), k, *(() if reader is None else (reader,))),
        )
        distance = dict(near)
        marks = ",".join("?" * len(near))
        rows = self._run(
            f"select number, id, words, tenant, readers from chunks where number in ({marks})",
            [number for number, _ in near],
        )
        rows.sort(key=lambda row: (distance[row[0]] or 0.0, row[0]))
        return [Hit(_chunk(row[1:]), 1 - float(distance[row[0]] or 0.0)) for row in rows]

    def fetch(self, ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks of some ids that are there, in the order of the ids."""
        there = {}
        for at in range(0, len(ids), AT_ONCE):
            some = list(ids[at : at + AT_ONCE])
            marks = ",".join("?" * len(some))
            for row in self._run(
                f"select id, words, tenant, readers from chunks where id in ({marks})", some
            ):
                there[row[0]] = _chunk(row)
        return [there[name] for name in ids if name in there]

    def delete(self, ids: Sequence[str]) -> int:
        """Remove chunks; return how many were there."""
        there = self.fetch(ids)
        with self._base:
            for chunk in there:
                ((number,),) = self._run("select number from chunks where id = ?", (chunk.id,))
                for table, column in (
                    ("vectors", "rowid"),
                    ("readers", "number"),
                    ("chunks", "number"),
                ):
                    self._run(f"delete from {table} where {column} = ?", (number,))
        return len(there)

    def __len__(self) -> int:
        """Chunks that are stored."""
        ((count,),) = self._run("select count(*) from chunks")
        return int(count)

    def close(self) -> None:
        """Close the database; one in memory is gone."""
        self._base.close()


def _chunk(row: Sequence[Any]) -> Chunk:
    name, text, tenant, readers = row
    return Chunk(name, text, tenant, tuple(json.loads(readers or "[]")))

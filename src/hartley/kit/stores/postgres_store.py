"""A store in PostgreSQL with pgvector: a given server, or one that ``pgserver`` starts.

Without an index a search is exact. pgvector's indexes look the nearest up first and apply the gate
to what they found, so that a tenant of few chunks gets fewer of its nearest, or none
(``kit.stores.chunks.recall`` measures it). ``per_tenant`` gives each tenant a table of its own with
its own index, which has no such loss.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import numpy as np

from hartley.core.errors import MissingExtra, UsageError
from hartley.kit.stores.chunks import Chunk, Hit, checked_query, checked_vectors, unanswered

if TYPE_CHECKING:
    from numpy.typing import NDArray

PATIENCE = 30
"""Seconds that a statement may take; a connection gets a third of it."""

LEAST_ROOM = 16
"""Dimensions of work memory, in MB, for building an index."""

PREFIX = "hartley-pg-"
"""How folders of servers are named, before the number of the process that started one."""

Index = Literal["none", "hnsw", "ivfflat"]

MAKE = {
    "hnsw": "using hnsw (embedding vector_cosine_ops)",
    "ivfflat": "using ivfflat (embedding vector_cosine_ops) with (lists = {lists})",
}


def sweep() -> None:
    """Remove folders of servers whose process is gone: a worker that ends at once removes none."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        owner = folder.name.removeprefix(PREFIX).partition("-")[0]
        first = ""
        with contextlib.suppress(OSError):
            first = (folder / "postmaster.pid").read_text(encoding="utf-8").partition("\n")[0]
        serves = first.strip().isdigit() and _runs(int(first))
        if owner.isdigit() and not _runs(int(owner)) and not serves:
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    """Whether a process is alive, be it another user's."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def refuse_passwords(url: str) -> None:
    """Refuse the address of a server with a password in it, which would be stored with a run.

    Raises:
        UsageError: it has one, in any of the ways that PostgreSQL reads one from.
    """
    user = url.partition("//")[2].rpartition("@")[0]
    if ":" in user or re.search(r"pass(word|phrase)?\s*=", url, re.IGNORECASE):
        raise UsageError(
            "url must not have a password, which would be stored with the run: set the environment "
            "variable PGPASSWORD instead"
        )


def place_of_server(url: str) -> str:
    """Return the address of a server without its user and its settings."""
    if "//" not in url:
        return " ".join(re.findall(r"\b(?:host|port|dbname)\s*=\s*[\w./-]+", url))
    scheme, _, rest = url.partition("//")
    return f"{scheme}//{rest.rpartition('@')[2].partition('?')[0]}"


def check_url(url: str) -> None:
    """Refuse what is not the address of a server of PostgreSQL, before anything is started.

    Raises:
        UsageError: it is malformed: neither an address nor settings, ``host=… dbname=…``.
    """
    if "//" not in url and re.match(r"\s*\w+\s*=", url):
        return
    reason = ""
    try:
        parts = urlsplit(url)
        if not url.startswith(("postgresql://", "postgres://")):
            reason = "it does not begin with postgresql://"
        _ = parts.port
    except ValueError as error:
        reason = _one_line(str(error))
    if reason:
        raise UsageError(f"url must be like postgresql://user@host:5432/name: {reason}")


def _one_line(error: str) -> str:
    """Return the lines of an error as sentences in one line."""
    lines = [" ".join(line.split()) for line in error.splitlines() if line.strip()]
    ended = [line if line[-1] in ".?!:" else f"{line}." for line in lines[:-1]]
    return " ".join([*ended, *lines[-1:]])


def started() -> tuple[str, Any]:
    """Start a server of PostgreSQL with pgvector in a folder of its own.

    Returns:
        Its address, and the server, whose ``cleanup`` stops it and removes the folder.

    Raises:
        MissingExtra: pgserver is not installed.
        UsageError: the server does not start.
    """
    try:
        from pgserver import get_server as start
    except ImportError as error:
        raise MissingExtra("pgserver", "postgres") from error
    sweep()
    folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            server: Any = start(folder, cleanup_mode="delete")
        return server.get_uri(), server
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"pgserver did not start: {type(error).__name__}: {reason}") from error


class PostgresStore:
    """Chunks and vectors in a schema of their own, which is dropped as the store closes."""

    def __init__(
        self,
        width: int,
        url: str = "",
        *,
        index: Index = "none",
        effort: int = 0,
        per_tenant: bool = False,
        forced: bool = False,
    ) -> None:
        """Connect, and make a schema.

        Args:
            width: numbers in a vector.
            url: of the server, ``postgresql://…``; empty starts one by pgserver. A password comes
                from the environment variable PGPASSWORD.
            index: of vectors; none is exact.
            effort: ``hnsw.ef_search`` or ``ivfflat.probes``; 0 takes pgvector's default.
            per_tenant: a table and an index for each tenant.
            forced: use the index wherever it can be used, as the planner does on large tables.

        Raises:
            MissingExtra: psycopg, or pgserver where no server is given, is not installed.
            UsageError: the server cannot be reached, or has no pgvector, or the URL has a password.
        """
        refuse_passwords(url)
        try:
            import psycopg
        except ImportError as error:
            raise MissingExtra("psycopg", "postgres") from error
        self.width, self.index, self.per_tenant = width, index, per_tenant
        how = "exact" if index == "none" else index + (f" {effort}" if effort else "")
        self.name = f"PostgreSQL with pgvector, {how}" + (", one table a tenant" * per_tenant)
        self._server: Any = None
        if not url:
            url, self._server = started()
        self._schema = f"hartley_{uuid.uuid4().hex[:12]}"
        self._count = 0
        try:
            self._base = psycopg.connect(url, autocommit=True, connect_timeout=PATIENCE // 3)
            run = self._base.execute
            run(f"set statement_timeout = '{PATIENCE}s'")
            run("set client_min_messages = warning")
            run("create extension if not exists vector")
            run(f"create schema {self._schema}")
            run(f"set search_path = {self._schema}, public")
            if forced:
                run("set enable_seqscan = off")
                run("set enable_bitmapscan = off")
                run("set enable_sort = off")
            if effort:
                option = "hnsw.ef_search" if index == "hnsw" else "ivfflat.probes"
                run(f"set {option} = {int(effort)}")
        except psycopg.Error as error:
            self._stop()
            where = place_of_server(url)
            reason = _one_line(str(error).replace(url, where))[:200]
            raise UsageError(f"the store {where} cannot be used: {reason}") from error
        self._tables: dict[str, str] = {}
        self._indexed: set[str] = set()
        if not per_tenant:
            self._make("chunks")

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            cursor = self._base.execute(statement, tuple(values))
            return cursor.fetchall() if cursor.description else []
        except Exception as error:
            raise unanswered(self.name, error) from error

    def _make(self, table: str) -> None:
        self._run(
            f"create unlogged table {table} (id text primary key, tenant text not null, readers "
            f"text[] not null, words text not null, embedding vector({self.width}) not null)"
        )
        self._run(f"create index on {table} (tenant)")

    def _table(self, tenant: str) -> str:
        """Return the table of a tenant's chunks; make it where there is none."""
        if not self.per_tenant:
            return "chunks"
        if tenant not in self._tables:
            self._tables[tenant] = "t_" + hashlib.sha256(tenant.encode()).hexdigest()[:20]
            self._make(self._tables[tenant])
        return self._tables[tenant]

    def _all(self) -> list[str]:
        return [*self._tables.values()] if self.per_tenant else ["chunks"]

    def add(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32]) -> None:
        """Keep n chunks with their vectors (n, width); the first ones are indexed once all are in.

        Raises:
            UsageError: vectors of another shape or that are not finite, or an id that is there.
        """
        rows = checked_vectors(chunks, vectors, self.width)
        if again := self.fetch([chunk.id for chunk in chunks]):
            raise UsageError(f"ids of chunks must be new, got {again[0].id!r}")
        by_table: dict[str, list[int]] = {}
        for i, chunk in enumerate(chunks):
            by_table.setdefault(self._table(chunk.tenant), []).append(i)
        for table, numbers in by_table.items():
            try:
                with self._base.cursor() as cursor, cursor.copy(f"copy {table} from stdin") as copy:
                    for i in numbers:
                        chunk = chunks[i]
                        text = chunk.text.replace("\0", " ")
                        vector = "[" + ",".join(f"{v:.8g}" for v in rows[i]) + "]"
                        copy.write_row((chunk.id, chunk.tenant, list(chunk.readers), text, vector))
            except Exception as error:
                raise unanswered(self.name, error) from error
            if self.index != "none" and table not in self._indexed:
                self._indexed.add(table)
                lists = max(1, len(numbers) // 1000 * 10 or 10)
                self._run(f"create index on {table} {MAKE[self.index].format(lists=lists)}")
            self._run(f"analyze {table}")
        self._count += len(chunks)

    def search(self, vector: NDArray[np.float32], k: int, reader: str | None = None) -> list[Hit]:
        """Return the k nearest chunks that the gate leaves, nearest first (see ``VectorStore``)."""
        query = checked_query(vector, k, self.width)
        text = "[" + ",".join(f"{v:.8g}" for v in query) + "]"
        columns = "id, words, tenant, readers, embedding <=> %s::vector as distance"
        rows: list[Any] = []
        for table in self._all():
            of_reader = self.per_tenant and reader is not None and table == self._tables.get(reader)
            values: tuple[Any, ...]
            if reader is None or of_reader:
                gate, values = "", (text, k)
            elif self.per_tenant:
                # What others opened to this tenant lies in their tables.
                gate, values = "where %s = any(readers)", (text, reader, k)
            else:
                gate = "where (tenant = %s or %s = any(readers))"
                values = (text, reader, reader, k)
            rows += self._run(
                f"select {columns} from {table} {gate} order by distance limit %s", values
            )
        rows.sort(key=lambda row: float(row[4]))
        return [
            Hit(Chunk(row[0], row[1], row[2], tuple(row[3])), 1 - float(row[4])) for row in rows[:k]
        ]

    def fetch(self, ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks of some ids that are there, in the order of the ids."""
        there: dict[str, Chunk] = {}
        for table in self._all():
            for row in self._run(
                f"select id, words, tenant, readers from {table} where id = any(%s)", (list(ids),)
            ):
                there[row[0]] = Chunk(row[0], row[1], row[2], tuple(row[3]))
        return [there[name] for name in ids if name in there]

    def delete(self, ids: Sequence[str]) -> int:
        """Remove chunks; return how many were there."""
        gone = 0
        for table in self._all():
            gone += len(
                self._run(f"delete from {table} where id = any(%s) returning id", (list(ids),))
            )
        self._count -= gone
        return gone

    def __len__(self) -> int:
        """Chunks that are stored."""
        return self._count

    def close(self) -> None:
        """Drop the schema, and stop the server if it was started for this store."""
        with contextlib.suppress(Exception):
            self._base.execute(f"drop schema {self._schema} cascade")
        with contextlib.suppress(Exception):
            self._base.close()
        self._stop()

    def _stop(self) -> None:
        if self._server is not None:
            with contextlib.suppress(Exception):
                self._server.cleanup()
            self._server = None

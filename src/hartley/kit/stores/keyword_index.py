"""A search by words, ranked by BM25: SQLite's FTS5, over all tenants or one index for each.

One index for all is cheap, and its weights count every tenant's chunks. What a tenant reads of its
own chunks is then a function of what others stored: a phrase that one more chunk holds weighs less
(Wang et al., "Side-Channel Attacks on Shared Search Indexes", 2017).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Sequence

from hartley.core.errors import RunError
from hartley.kit.stores.chunks import Chunk, Hit, unanswered

WORD = re.compile(r"\w+")


class KeywordIndex:
    """Chunks by their words."""

    def __init__(self, *, per_tenant: bool = False) -> None:
        """Begin empty.

        Args:
            per_tenant: each tenant has an index, and statistics, of its own.
        """
        self.per_tenant = per_tenant
        self._base = sqlite3.connect(":memory:", check_same_thread=False)
        self._tables: dict[str, str] = {}
        self._chunks: dict[str, Chunk] = {}

    def _table(self, tenant: str) -> str:
        name = tenant if self.per_tenant else ""
        if name not in self._tables:
            table = f"words_{len(self._tables)}"
            try:
                self._base.execute(
                    f"create virtual table {table} using "
                    "fts5(id unindexed, tenant unindexed, words)"
                )
            except sqlite3.Error as error:
                raise RunError(f"this SQLite has no search by words (FTS5): {error}") from error
            self._tables[name] = table
        return self._tables[name]

    def add(self, chunks: Sequence[Chunk]) -> None:
        """Index n chunks."""
        with self._base:
            for chunk in chunks:
                self._chunks[chunk.id] = chunk
                self._base.execute(
                    f"insert into {self._table(chunk.tenant)} values (?, ?, ?)",
                    (chunk.id, chunk.tenant, chunk.text),
                )

    def delete(self, ids: Sequence[str]) -> None:
        """Remove chunks."""
        with self._base:
            for name in ids:
                if (chunk := self._chunks.pop(name, None)) is not None:
                    table = self._table(chunk.tenant)
                    self._base.execute(f"delete from {table} where id = ?", (name,))

    def search(self, query: str, k: int, reader: str | None = None) -> list[Hit]:
        """Return the k best chunks of a tenant, or of all, for a phrase or for words.

        Args:
            query: words, of which a chunk needs one; in quotation marks, a phrase.
            k: chunks at most.
            reader: the gate: hits of others are left out before the best k are taken.
        """
        words = WORD.findall(query)
        if not words or (self.per_tenant and reader is not None and reader not in self._tables):
            return []
        quoted = query.strip().startswith('"')
        wanted = f'"{" ".join(words)}"' if quoted else " OR ".join(f'"{word}"' for word in words)
        tables = (
            [self._tables[reader]]
            if self.per_tenant and reader is not None
            else [*self._tables.values()]
        )
        gate = "" if reader is None else "and tenant = ?"
        rows = []
        for table in tables:
            try:
                rows += self._base.execute(
                    f"select id, bm25({table}) from {table} where {table} match ? {gate} "
                    "order by rank limit ?",
                    (wanted, *(() if reader is None else (reader,)), k),
                ).fetchall()
            except sqlite3.Error as error:
                raise unanswered("FTS5", error) from error
        rows.sort(key=lambda row: row[1])
        return [Hit(self._chunks[name], -float(score)) for name, score in rows[:k]]

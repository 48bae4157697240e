"""A store as a game needs it: what the owner keeps, what an auditor planted, what users wrote.

The owner's chunks are stored once. What an auditor plants belongs to one deal, and what an attacker
writes to one session: both are taken out again, so that no row depends on what was played before.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import RunError, UsageError
from hartley.kit.stores.chunks import Chunk, Hit, VectorStore
from hartley.kit.stores.keyword_index import KeywordIndex
from hartley.kit.stores.text_encoders import TextEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_WRITTEN = 20_000
"""Chunks that one session may write."""

REMEMBERED = 65_536
"""Texts whose vectors are kept."""


def numbered(number: int) -> str:
    """Return the id of the chunk that was stored as number ``number``."""
    return f"c{number:06d}"


class StagedStore:
    """The owner's chunks, with what is planted and written for the moment.

    Attributes:
        encoder: of texts.
        chunks: the owner's.
        base_vectors: (n, width) of them.
    """

    def __init__(
        self,
        opened: Callable[[int], VectorStore],
        encoder: TextEncoder,
        chunks: Sequence[Chunk],
        vectors: NDArray[np.float32] | None = None,
    ) -> None:
        """Take the owner's chunks; the store is opened as it is first asked, in each process.

        Args:
            opened: (width of vectors) → an empty store.
            encoder: of texts.
            chunks: the owner's; their ids are numbered anew.
            vectors: (n, width) of them, or None to have them encoded.

        Raises:
            UsageError: there is no chunk, or the vectors do not fit.
        """
        if not chunks:
            raise UsageError("a store must hold at least 1 chunk, got 0")
        self.encoder = encoder
        self.chunks = tuple(replace(c, id=numbered(i)) for i, c in enumerate(chunks))
        self._opened = opened
        self.base_vectors = encoder([c.text for c in chunks]) if vectors is None else vectors
        if self.base_vectors.shape != (len(chunks), encoder.width):
            raise UsageError(
                f"vectors of {len(chunks)} chunks must have shape ({len(chunks)}, "
                f"{encoder.width}), got {self.base_vectors.shape}"
            )
        self._process = 0
        self._store: VectorStore | None = None
        self._planted: Sequence[Chunk] = ()
        self._written: list[Chunk] = []
        self._words: dict[bool, KeywordIndex] = {}
        self._texts: dict[str, set[str]] = {}
        self._known: dict[str, NDArray[np.float32]] = {}

    @property
    def store(self) -> VectorStore:
        """The store, open in this process.

        Raises:
            UsageError: it cannot be opened.
        """
        if self._store is None or self._process != os.getpid():
            store = self._opened(self.encoder.width)
            store.add(self.chunks, self.base_vectors)
            self._store, self._process = store, os.getpid()
            self._planted, self._written, self._words, self._texts = (), [], {}, {}
            self._note(self.chunks)
        return self._store

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, width) vectors of texts; of each text once."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(self._known) + len(new) > REMEMBERED:
            self._known.clear()
            new = list(dict.fromkeys(texts))
        self._known |= dict(zip(new, self.encoder(new), strict=True))
        return np.stack([self._known[text] for text in texts])

    def stage(self, planted: Sequence[Chunk]) -> None:
        """Put in what a deal planted, and take out what was planted or written before.

        After an error nothing counts as planted: the store is closed, and the next call opens it
        anew, with the owner's chunks alone.

        Raises:
            RunError: the store does not answer, or does not hold what it was given.
        """
        store = self.store
        if planted is self._planted:
            return
        try:
            self.forget()
            self._remove(self._planted)
            self._planted = ()
            self._put(store, planted)
            there = len(store.fetch([chunk.id for chunk in planted])) if planted else 0
            if there < len(planted):
                raise RunError(
                    f"the store {store.name} must hold what it was given: of {len(planted)} "
                    f"planted chunks {there} are there"
                )
        except BaseException:
            with contextlib.suppress(Exception):
                self.close()
            self._store = None
            raise
        self._planted = planted

    def forget(self) -> None:
        """Take out what was written in a session."""
        self._remove(self._written)
        self._written = []

    def write(self, text: str, tenant: str) -> Chunk:
        """Store a text for a tenant, for as long as the session lasts.

        Raises:
            RunError: the session has written ``MOST_WRITTEN`` chunks.
        """
        if len(self._written) >= MOST_WRITTEN:
            raise RunError(f"a session may write {MOST_WRITTEN} chunks at most")
        number = len(self.chunks) + len(self._planted) + len(self._written)
        chunk = Chunk(numbered(number), text, tenant)
        self._written.append(chunk)
        self._put(self.store, [chunk])
        return chunk

    def search(self, text: str, k: int, reader: str | None) -> list[Hit]:
        """Return the k chunks nearest to a text, of all or of those that a tenant may read."""
        return self.store.search(self.vectors([text])[0], k, reader)

    def by_words(self, query: str, k: int, reader: str | None, *, shared: bool) -> list[Hit]:
        """Return the k best chunks by their words, by an index of all or of each tenant."""
        store = self.store
        if shared not in self._words:
            index = self._words[shared] = KeywordIndex(per_tenant=not shared)
            index.add([*self.chunks, *self._planted, *self._written])
        del store
        return self._words[shared].search(query, k, reader)

    def holders(self, text: str) -> frozenset[str]:
        """Return the tenants that have stored exactly this text."""
        return frozenset(self._texts.get(text, ()))

    def close(self) -> None:
        """Close the store that this process opened."""
        if self._store is not None and self._process == os.getpid():
            self._store.close()
        self._store = None

    def _note(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            self._texts.setdefault(chunk.text, set()).add(chunk.tenant)

    def _put(self, store: VectorStore, chunks: Sequence[Chunk]) -> None:
        if not chunks:
            return
        store.add(chunks, self.vectors([chunk.text for chunk in chunks]))
        self._note(chunks)
        for index in self._words.values():
            index.add(chunks)

    def _remove(self, chunks: Sequence[Chunk]) -> None:
        if not chunks:
            return
        ids = [chunk.id for chunk in chunks]
        self.store.delete(ids)
        for index in self._words.values():
            index.delete(ids)
        left = {*self.chunks} if any(c.text in self._texts for c in chunks) else set()
        for chunk in chunks:
            still = any(
                other.text == chunk.text and other.tenant == chunk.tenant
                for other in (*self._planted, *self._written)
                if other.id not in ids
            )
            if not still and chunk not in left:
                holders = self._texts.get(chunk.text, set())
                holders.discard(chunk.tenant)

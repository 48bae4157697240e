"""An exact store in memory: the reference of every other, and what needs no library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError
from hartley.kit.stores.chunks import Chunk, Hit, checked_query, checked_vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray


class ArrayStore:
    """All vectors as one array; a search compares with every vector that the gate leaves."""

    def __init__(self, width: int) -> None:
        """Begin empty, for vectors of ``width`` numbers."""
        self.name, self.width = "array, exact", width
        self._chunks: dict[str, Chunk] = {}
        self._blocks = [np.empty((0, width), np.float32)]
        self._rows: dict[str | None, NDArray[np.int64]] = {}
        self._order: list[Chunk] = []

    def add(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32]) -> None:
        """Keep n chunks with their vectors (n, width).

        Raises:
            UsageError: vectors of another shape or that are not finite, or an id that is there.
        """
        rows = checked_vectors(chunks, vectors, self.width)
        if again := [chunk.id for chunk in chunks if chunk.id in self._chunks]:
            raise UsageError(f"ids of chunks must be new, got {again[0]!r}")
        self._chunks |= {chunk.id: chunk for chunk in chunks}
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        self._blocks.append(rows / np.maximum(lengths, 1e-12))
        self._rows.clear()

    def search(self, vector: NDArray[np.float32], k: int, reader: str | None = None) -> list[Hit]:
        """Return the k nearest chunks that the gate leaves, nearest first (see ``VectorStore``)."""
        query = checked_query(vector, k, self.width)
        query = query / max(float(np.linalg.norm(query)), 1e-12)
        rows = self._open_to(reader)
        scores = self._vectors()[rows] @ query
        order = np.argsort(-scores, kind="stable")[:k]
        return [Hit(self._order[rows[i]], float(scores[i])) for i in order]

    def fetch(self, ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks of some ids that are there, in the order of the ids."""
        return [self._chunks[name] for name in ids if name in self._chunks]

    def delete(self, ids: Sequence[str]) -> int:
        """Remove chunks; return how many were there."""
        gone = {*ids} & self._chunks.keys()
        left = [name not in gone for name in self._chunks]
        self._blocks = [self._vectors()[np.array(left, bool)]]
        self._chunks = {n: c for n, c in self._chunks.items() if n not in gone}
        self._rows.clear()
        return len(gone)

    def __len__(self) -> int:
        """Chunks that are stored."""
        return len(self._chunks)

    def close(self) -> None:
        """Forget everything."""
        self.__init__(self.width)  # type: ignore[misc]

    def _vectors(self) -> NDArray[np.float32]:
        """Return all vectors (n, width) as one array."""
        if len(self._blocks) > 1:
            self._blocks = [np.concatenate(self._blocks)]
        return self._blocks[0]

    def _open_to(self, reader: str | None) -> NDArray[np.int64]:
        """Return the rows of what a tenant may read; looked up again after a change."""
        if not self._rows:
            self._order = list(self._chunks.values())
        if reader not in self._rows:
            self._rows[reader] = np.array(
                [i for i, c in enumerate(self._order) if reader is None or c.open_to(reader)],
                np.int64,
            )
        return self._rows[reader]

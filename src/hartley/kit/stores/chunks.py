"""What a vector store keeps and answers, and the one protocol that every store follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from hartley.core.errors import RunError, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_HITS = 4096
"""Chunks that one search returns, at most: what sqlite-vec allows."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of text of one tenant.

    Attributes:
        id: its name in the store, like no other.
        text: what it says.
        tenant: whose it is.
        readers: other tenants that may read it.

    Raises:
        UsageError: a field is not a text, or the id or the tenant is empty.
    """

    id: str
    text: str
    tenant: str
    readers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("id", "text", "tenant"):
            if not isinstance(value := getattr(self, name), str):
                raise UsageError(f"{name} of a chunk must be a text, got {type(value).__name__}")
        if not self.id or not self.tenant:
            raise UsageError("a chunk must have an id and a tenant, got an empty text")

    def open_to(self, reader: str) -> bool:
        """Whether a tenant may read it."""
        return reader == self.tenant or reader in self.readers


@dataclass(frozen=True, slots=True)
class Hit:
    """A chunk that a search found, with its likeness to what was searched.

    Attributes:
        chunk: as it is stored.
        score: cosine of the two vectors, −1 to 1; of a search by words, as the index gives it.
    """

    chunk: Chunk
    score: float


@runtime_checkable
class VectorStore(Protocol):
    """Where chunks and their vectors are kept.

    Attributes:
        name: for reports, with what kind of index it has.
        width: numbers in a vector.
    """

    name: str
    width: int

    def add(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32]) -> None:
        """Keep n chunks with their vectors (n, width).

        Raises:
            UsageError: vectors of another shape or that are not finite, or an id that is there.
        """

    def search(self, vector: NDArray[np.float32], k: int, reader: str | None = None) -> list[Hit]:
        """Return the k nearest chunks, nearest first.

        Args:
            vector: (width,).
            k: chunks at most, 1 to ``MOST_HITS``.
            reader: the gate: only what this tenant may read is searched. None searches everything.

        Raises:
            UsageError: a vector of another width, or k outside its range.
            RunError: the store does not answer.
        """

    def fetch(self, ids: Sequence[str]) -> list[Chunk]:
        """Return the chunks of some ids that are there, in the order of the ids."""

    def delete(self, ids: Sequence[str]) -> int:
        """Remove chunks; return how many were there."""

    def __len__(self) -> int:
        """Chunks that are stored."""

    def close(self) -> None:
        """Let go of the store and of what it alone made."""


def checked_vectors(
    chunks: Sequence[Chunk], vectors: NDArray[Any], width: int
) -> NDArray[np.float32]:
    """Return vectors of chunks as float32 (n, width).

    Raises:
        UsageError: they have another shape, are not finite, or two chunks have one id.
    """
    out = np.ascontiguousarray(vectors, dtype=np.float32)
    if out.shape != (len(chunks), width):
        raise UsageError(
            f"vectors of {len(chunks)} chunks must have shape ({len(chunks)}, {width}), "
            f"got {out.shape}"
        )
    if not np.isfinite(out).all():
        raise UsageError("vectors must be finite, got NaN or infinity")
    if len({chunk.id for chunk in chunks}) < len(chunks):
        raise UsageError("ids of chunks must all be different, got one twice")
    return out


def checked_query(vector: NDArray[Any], k: int, width: int) -> NDArray[np.float32]:
    """Return the vector of a search as float32 (width,).

    Raises:
        UsageError: it has another shape or is not finite, or k is outside its range.
    """
    out = np.ascontiguousarray(vector, dtype=np.float32)
    if out.shape != (width,) or not np.isfinite(out).all():
        raise UsageError(f"a search needs {width} finite numbers, got shape {out.shape}")
    if not 1 <= k <= MOST_HITS:
        raise UsageError(f"k must be from 1 to {MOST_HITS}, got {k}")
    return out


def unanswered(name: str, error: Exception) -> RunError:
    """Return the error of a store that failed: one line, so that a row ends as ``failed``."""
    reason = " ".join(str(error).split())[:200]
    return RunError(f"the store {name} failed: {type(error).__name__}: {reason}")


def recall(exact: Sequence[Sequence[Hit]], given: Sequence[Sequence[Hit]], k: int) -> list[float]:
    """Return of each search the share of its k exactly nearest chunks that a store returned.

    A chunk that is as near as the k-th one counts too, so that ties lose nothing.

    Args:
        exact: what an exact search returns, nearest first.
        given: what the store returned.
        k: how many are asked for.
    """
    out = []
    for truth, hits in zip(exact, given, strict=True):
        if not truth:
            continue
        wanted = min(k, len(truth))
        least = truth[wanted - 1].score - 1e-6
        there = sum(hit.score >= least for hit in hits[:k])
        out.append(min(there, wanted) / wanted)
    return out

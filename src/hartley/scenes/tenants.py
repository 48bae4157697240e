"""Tenants: a retrieval service with one vector store for ten tenants' real texts; needs packs."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Modality, Range, Scene, Stronger, recipe
from hartley.data.tenant_texts import spare_texts, texts_of_tenants
from hartley.kit.cache import cached
from hartley.kit.interval_values import Figure, mean_figure
from hartley.kit.stores.array_store import ArrayStore
from hartley.kit.stores.chunks import Chunk, VectorStore, recall
from hartley.kit.stores.postgres_store import PostgresStore, check_url, refuse_passwords
from hartley.kit.stores.sqlite_store import SqliteStore
from hartley.kit.stores.staged_store import StagedStore
from hartley.kit.stores.tenant_store import Gate, Rules, TenantStore
from hartley.models.text_encoder import EncoderName, text_encoder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

StoreKind = Literal[
    "sqlite",
    "array",
    "postgres",
    "postgres-hnsw",
    "postgres-hnsw-wide",
    "postgres-hnsw-tables",
    "postgres-ivfflat",
]

OWNER = "emma"
"""The tenant whose assistant answers customers."""

SEARCHES, NEAREST = 200, 5
"""Searches, and chunks of each, by which recall is measured."""


WIDE = 200
"""Candidates of HNSW (``ef_search``) that leave enough behind a gate among ten tenants."""


@recipe(
    modality=Modality.LANGUAGE, packs=("austen", "spam-assassin", "minilm"), extras=("language",)
)
def tenants(
    *,
    store: Annotated[StoreKind, Stronger.NEITHER] = "sqlite",
    url: Annotated[str, Stronger.NEITHER] = "",
    encoder: Annotated[EncoderName, Stronger.NEITHER] = "minilm",
    gate: Annotated[Gate, Stronger.NEITHER] = "none",
    chunks: Annotated[int, Range(8, 1900), Stronger.NEITHER] = 1000,
    seed: Annotated[int, Range(0), Stronger.NEITHER] = 0,
) -> Scene:
    """A retrieval service whose ten tenants share one vector store, without a gate between them.

    Args:
        store: where chunks and vectors are kept: SQLite with sqlite-vec, an array in memory,
            or PostgreSQL with pgvector, exact or by one of its indexes: HNSW as pgvector sets it
            (wide: with 200 candidates in place of 40; tables: a table and an index for each
            tenant), or IVFFlat.
        url: of a PostgreSQL server; empty starts one by pgserver. Its password comes from the
            environment variable PGPASSWORD.
        encoder: of texts.
        gate: none: every search is over all tenants. client: over the tenant that the caller names.
            after and before: defended, as by ``result_filter`` and ``tenant_gate``.
        chunks: of each tenant.
        seed: of the searches by which recall is measured.

    Raises:
        UsageError: the server cannot be reached, or ``url`` is malformed or has a password.
    """
    refuse_passwords(url)
    if url:
        check_url(url)
    texts = texts_of_tenants(chunks)
    encodes = text_encoder(encoder)
    every = [Chunk(f"{name}-{i}", t, name) for name in texts for i, t in enumerate(texts[name])]
    vectors = _vectors(encoder, encodes.digest, [chunk.text for chunk in every])
    stored = StagedStore(partial(_opened, store, url), encodes, every, vectors)
    names = tuple(texts)
    part = TenantStore(
        stored, names, owner=OWNER, spare=spare_texts(OWNER, chunks), rules=Rules(gate=gate)
    )
    return Scene(
        name="tenants",
        modality=Modality.LANGUAGE,
        parts=(part,),
        model=part.deployed(),
        utility=partial(_utility, seed=seed),
        facts={
            "store": store,
            "encoder": encodes.name,
            "digest of the encoder": encodes.digest,
            "tenants": len(texts),
            "chunks": len(every),
        },
    )


def _vectors(name: EncoderName, digest: str, texts: Sequence[str]) -> NDArray[np.float32]:
    """Return the vectors of texts, computed once and kept on disk."""

    def build() -> Mapping[str, NDArray[Any]]:
        return {"vectors": text_encoder(name)(texts)}

    recipe_ = ["chunks of tenants", digest, list(texts)]
    return np.asarray(cached("tenants", recipe_, build, code=text_encoder)["vectors"])


def _opened(kind: StoreKind, url: str, width: int) -> VectorStore:
    if kind == "sqlite":
        return SqliteStore(width)
    if kind == "array":
        return ArrayStore(width)
    settings: dict[StoreKind, dict[str, Any]] = {
        "postgres-hnsw": {"index": "hnsw"},
        "postgres-hnsw-wide": {"index": "hnsw", "effort": WIDE, "forced": True},
        "postgres-hnsw-tables": {"index": "hnsw", "per_tenant": True, "forced": True},
        "postgres-ivfflat": {"index": "ivfflat"},
    }
    return PostgresStore(width, url, **settings.get(kind, {}))


def _utility(scene: Scene, *, seed: int) -> dict[str, Figure]:
    """Return the recall@5 of a tenant's searches behind the gate, against exact search."""
    part = scene.part(TenantStore)
    return {"recall_at_5": recall_behind_gate(part, seed=seed)}


def recall_behind_gate(
    part: TenantStore,
    *,
    seed: int = 0,
    searches: int = SEARCHES,
    exact: Callable[[int], VectorStore] = ArrayStore,
) -> Figure:
    """Return the mean share of a tenant's five nearest chunks that a search of its own returns.

    Each search is the first half of a chunk of the tenant that searches; truth is an exact search
    among what that tenant may read. Without a gate the nearest of other tenants take places.

    Args:
        part: the service.
        seed: draws the searches.
        searches: how many.
        exact: (width) → the store of the truth.
    """
    rng, store = np.random.default_rng(seed), part.stored
    store.stage(())
    store.forget()
    reference = exact(store.encoder.width)
    reference.add(store.chunks, store.base_vectors)
    truths, answers = [], []
    rows = rng.choice(len(store.chunks), min(searches, len(store.chunks)), replace=False)
    texts = [" ".join(store.chunks[i].text.split()[:20]) for i in rows]
    for text, vector, i in zip(texts, store.vectors(texts), rows, strict=True):
        reader = store.chunks[i].tenant
        truths.append(reference.search(vector, NEAREST, reader))
        hits = part.near(text, NEAREST, reader)
        answers.append([hit for hit in hits if hit.chunk.open_to(reader)])
    return mean_figure(np.array(recall(truths, answers, NEAREST)))

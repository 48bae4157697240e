"""Frozen encoders as models: the part that all of them share.

An encoder answers with embeddings, one a record. Encoding a data set takes seconds to a minute, so
it is done once and kept on disk by content.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Modality, Model, Output
from hartley.kit.cache import cached

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST = 8192
"""Records whose embeddings ``once_each`` remembers."""

Encode = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""Records (n, …) → embeddings (n, d)."""


def encoder(
    name: str, modality: Modality, encode: Encode, width: int, *, revision: str = ""
) -> Model:
    """Return an encoder as a model that answers with embeddings (n, ``width``).

    Args:
        name: what to call it in reports.
        modality: what it reads.
        encode: the network.
        width: d.
        revision: the version of the weights, for the cache of embeddings.
    """
    return Model(
        name,
        modality,
        lambda x: encode(x) if len(x) else np.empty((0, width), np.float32),
        Output.EMBEDDINGS,
        width,
        offers=Access.EMBEDDINGS,
        facts={"revision": revision or name},
    )


def embedded(model: Model, x: NDArray[Any]) -> NDArray[np.float32]:
    """Embeddings of a whole data set, computed once and kept on disk by content."""
    recipe = ["embeddings", 1, model.name, model.facts.get("revision", ""), x]
    arrays = cached("embeddings", recipe, lambda: {"e": model.query(x).astype(np.float32)})
    return np.asarray(arrays["e"])


def remembering(model: Model, x: NDArray[Any]) -> Model:
    """The same encoder, with stored embeddings of the records ``x``.

    They are computed (or read from disk) at the first query of one; other records go through the
    network. Rows of tokens match with any padding.
    """

    @cache
    def known() -> dict[bytes, NDArray[np.float32]]:
        return dict(zip(_keys(x), embedded(model, x), strict=True))

    def query(records: NDArray[Any]) -> NDArray[Any]:
        table, keys = known(), _keys(records)
        new = [i for i, key in enumerate(keys) if key not in table]
        out = np.empty((len(records), model.classes), np.float32)
        fresh = model.query(records[new])
        out[new] = fresh
        for i, key in enumerate(keys):
            if key in table:
                out[i] = table[key]
        return out

    return model.with_(query=query)


def once_each(
    encode: Encode, known: tuple[NDArray[Any], NDArray[Any]], *, most: int = MOST
) -> Encode:
    """The same encoder, which encodes a record once, however often it is asked.

    Args:
        encode: records (n, …) → (n, d).
        known: records and their embeddings, which are not computed again.
        most: embeddings of other records that are remembered, in this process: the latest.
    """

    def key(row: NDArray[Any]) -> bytes:
        return hashlib.sha256(np.ascontiguousarray(row).tobytes()).digest()

    stored = {key(row): embedding for row, embedding in zip(*known, strict=True)}
    latest: OrderedDict[bytes, NDArray[Any]] = OrderedDict()

    def remembered(x: NDArray[Any]) -> NDArray[np.float32]:
        keys = [key(row) for row in x]
        new = {k: i for i, k in enumerate(keys) if k not in stored and k not in latest}
        if new:
            latest.update(zip(new, encode(x[list(new.values())]), strict=True))
        rows = [stored[k] if k in stored else latest[k] for k in keys]
        while len(latest) > most:
            latest.popitem(last=False)
        return np.asarray(rows, dtype=np.float32).reshape(len(x), known[1].shape[1])

    return remembered


def _keys(x: NDArray[Any]) -> list[bytes]:
    if x.dtype.kind == "i":
        return [np.asarray(row[row >= 0], dtype=np.int64).tobytes() for row in x]
    return [np.ascontiguousarray(row, dtype=np.float32).tobytes() for row in x]

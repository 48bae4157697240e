"""How near a rewritten text is to the one that was published, in meaning and in fluency."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Codec, Model
from hartley.kit.item_quality import OWN_WORDS, Figures, ItemQuality, own_words
from hartley.kit.language import text
from hartley.models.minilm import minilm, words

if TYPE_CHECKING:
    from numpy.typing import NDArray


def by_meaning(
    writer: Model, codec: Codec, similarity: float = 0.7, fluency: float = -1.0
) -> ItemQuality:
    """Floors of texts by meaning and fluency.

    Figures are ``similarity``, the cosine of MiniLM's embeddings, whose window is the first 254
    word pieces; and ``fluency``, the mean log-probability of a token under a language model less
    that of the published text, in nats: 0 is as fluent, −1 has e times the perplexity. A
    forgery besides quotes no more of a victim's texts than ``item_quality.OWN_WORDS`` leaves.

    Args:
        writer: the language model that judges fluency.
        codec: its vocabulary.
        similarity: least cosine.
        fluency: least difference, in nats.

    Raises:
        MissingPack: the pack ``minilm`` was not fetched.
    """
    longest = int(writer.facts["context"])

    @lru_cache(maxsize=4096)
    def meaning(one: str) -> NDArray[Any]:
        rows = text.pad([words().encode(one) or [0]])
        return np.asarray(minilm().calls["query"](rows)[0], dtype=np.float64)

    @lru_cache(maxsize=4096)
    def nats(one: str) -> float:
        rows = np.asarray(codec.encode([one]))[:, :longest]
        if rows.shape[1] < 2:
            return -float(np.log(codec.size))
        assert writer.score is not None
        return float(np.asarray(writer.score(rows)).sum() / (rows.shape[1] - 1))

    def figures(candidate: str, published: str) -> Figures:
        return {
            "similarity": float(meaning(str(candidate)) @ meaning(str(published))),
            "fluency": nats(str(candidate)) - nats(str(published)),
        }

    def read(candidate: Any, published: str) -> str:
        del published
        if not isinstance(candidate, str):
            raise ValueError(f"a text, got {type(candidate).__name__}")
        return str(candidate)

    least = {"similarity": similarity, "fluency": fluency}
    return ItemQuality(
        read,
        figures,
        least,
        lambda candidate, published: 1.0 - figures(candidate, published)["similarity"],
        {**least, "own_words": OWN_WORDS},
        own_words,
    )

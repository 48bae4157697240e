"""How near a rewritten text is to the one that was published, in meaning and in fluency."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Codec, Model
from hartley.kit.item_quality import OWN_WORDS, Figures, ItemQuality, own_words
from hartley.kit.language import text
from hartley.models.minilm import LONGEST, minilm, words

if TYPE_CHECKING:
    from numpy.typing import NDArray

SAME_LENGTH = 0.5
"""A rewritten text has half to twice the tokens of the published one, as sounds have samples."""


def by_meaning(
    writer: Model, codec: Codec, similarity: float = 0.7, fluency: float = -1.0
) -> ItemQuality:
    """Floors of texts by meaning, fluency and length.

    All of a text counts, not its beginning, and what is added to it is a change. Figures are

    * ``similarity``, the cosine of MiniLM's embeddings. A text of more than 254 word pieces is read
      in equal windows; each counts by its likeness to the nearest window of the other text, and the
      mean of that text is taken whose windows are less like those of the other.
    * ``fluency``, the mean log-probability of a token under a language model minus that of the
      published text, in nats: 0 is as fluent, −1 has e times the perplexity.
    * ``same_length``, tokens of the shorter text by those of the longer one, at least a half.

    A forgery besides quotes no more of a victim's texts than ``item_quality.OWN_WORDS`` leaves.

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
        pieces = words().encode(one) or [0]
        windows = np.array_split(np.array(pieces), -(-len(pieces) // LONGEST))
        rows = text.pad([window.tolist() for window in windows])
        return np.asarray(minilm().calls["query"](rows), dtype=np.float64)

    @lru_cache(maxsize=4096)
    def tokens(one: str) -> NDArray[Any]:
        row: NDArray[Any] = np.asarray(codec.encode([one]))[0]
        return row

    @lru_cache(maxsize=4096)
    def nats(one: str) -> float:
        row = tokens(one)
        if len(row) < 2:
            return -float(np.log(codec.size))
        windows = np.array_split(row, -(-len(row) // longest))
        assert writer.score is not None
        total = sum(float(np.asarray(writer.score(window[None])).sum()) for window in windows)
        return total / (len(row) - len(windows))

    def figures(candidate: str, published: str) -> Figures:
        like = meaning(str(candidate)) @ meaning(str(published)).T
        sizes = [max(1, len(tokens(str(one)))) for one in (candidate, published)]
        return {
            "similarity": float(min(like.max(1).mean(), like.max(0).mean())),
            "fluency": nats(str(candidate)) - nats(str(published)),
            "same_length": min(sizes) / max(sizes),
        }

    def read(candidate: Any, published: str) -> str:
        del published
        if not isinstance(candidate, str):
            raise ValueError(f"a text, got {type(candidate).__name__}")
        return str(candidate)

    least = {"similarity": similarity, "fluency": fluency, "same_length": SAME_LENGTH}
    return ItemQuality(
        read,
        figures,
        least,
        lambda candidate, published: 1.0 - figures(candidate, published)["similarity"],
        {**least, "own_words": OWN_WORDS},
        own_words,
    )

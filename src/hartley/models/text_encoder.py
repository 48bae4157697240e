"""Sentence encoders for vector stores, by name: each with the digest of what it computes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

import numpy as np

from hartley.kit.file_digests import sha256_of
from hartley.kit.language import text
from hartley.kit.stores.text_encoders import TextEncoder, hashed_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

EncoderName = Literal["minilm", "hashed"]

REVISION = "all-MiniLM-L6-v2, mean of the last states, float32"


@cache
def text_encoder(name: EncoderName = "minilm") -> TextEncoder:
    """Return an encoder of texts.

    Args:
        name: ``minilm`` (384 numbers, pack ``minilm``), or ``hashed``, which needs no weights
            (``kit.stores.text_encoders.hashed_words``).

    Raises:
        MissingPack: the pack was not fetched.
        MissingExtra: transformers is not installed.
    """
    if name == "hashed":
        return hashed_words()
    from hartley.data.packs import locate
    from hartley.models.minilm import WIDTH, minilm, words

    weights = sha256_of(locate("minilm") / "model.safetensors")
    network, vocabulary = minilm(), words()

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        rows = text.pad([vocabulary.encode(one) or [0] for one in texts])
        return np.asarray(network.calls["query"](rows), np.float32)

    return TextEncoder(REVISION, weights, WIDTH, encode)

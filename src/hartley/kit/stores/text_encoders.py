"""Encoders of texts with a name and a digest, so that a report says what filled a store."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LONGEST = 20_000
"""Characters of a text that are embedded; a longer one is cut there, so that time is bounded."""


@dataclass(frozen=True, slots=True, eq=False)
class TextEncoder:
    """Texts → unit vectors.

    Attributes:
        name: of the encoder.
        digest: sha256 of its weights, or of its recipe.
        width: numbers in a vector.
        encode: n texts → (n, width) float32.
    """

    name: str
    digest: str
    width: int
    encode: Callable[[Sequence[str]], NDArray[np.float32]]

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (n, width) vectors of length 1.

        Raises:
            UsageError: one of the texts is not a string.
        """
        for text in texts:
            if not isinstance(text, str):
                raise UsageError(f"a text must be a string, got {type(text).__name__}")
        if not texts:
            return np.empty((0, self.width), np.float32)
        return self.encode([text[:LONGEST] for text in texts])


def hashed_words(width: int = 256) -> TextEncoder:
    """Return an encoder without weights: words and their letter triples in signed buckets.

    A word or a triple adds +1 or −1 to a bucket that a hash of its letters names (arXiv:0902.2206);
    the sum is brought to length 1. Enough to find a text by its words, for tiny stores.

    Args:
        width: buckets.
    """

    def encode(texts: Sequence[str]) -> NDArray[np.float32]:
        out = np.zeros((len(texts), width), np.float32)
        for row, text in zip(out, texts, strict=True):
            for word in re.findall(r"\w+", text.lower()):
                marked = f"<{word}>"
                parts = [marked, *(marked[i : i + 3] for i in range(len(marked) - 2))]
                for place, part in enumerate(parts):
                    number = crc32(part.encode())
                    row[number % width] += (1 if place == 0 else 0.4) * (1 if number >> 31 else -1)
        return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))

    return TextEncoder("hashed words", f"hashed words and triples, {width}", width, encode)

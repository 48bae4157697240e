"""Bags of words: texts as rows of numbers, with neither a vocabulary nor anything to train.

A word is put into one of some buckets by a hash of its letters (arXiv:0902.2206), so that every
text has a row, also one of words that nobody saw before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from hartley.core.assets import is_text
from hartley.kit import kmeans

if TYPE_CHECKING:
    from numpy.typing import NDArray

WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
"""A word, with its inner hyphens and apostrophes, or a punctuation mark."""

BEGIN, END = "<", ">"
"""The partners of the first and of the last word of a text."""


@dataclass(frozen=True, slots=True)
class Bags:
    """Which words, and which pairs of neighbours, a text has.

    Attributes:
        words: buckets for words.
        pairs: buckets for pairs of neighbours, with the begin and the end of the text; 0 leaves
            their order out.
        weight: of a pair, where that of a word is 1. At 1 most of what a small net learns are pairs
            that no other text has.
    """

    words: int = 4096
    pairs: int = 2048
    weight: float = 0.3

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return self.words + self.pairs

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return {"name": type(self).__name__, **asdict(self)}

    def __call__(self, texts: Sequence[str] | NDArray[Any]) -> NDArray[np.float32]:
        """Return (n, width) rows: 0 in the buckets of words and pairs that a text does not have."""
        out = np.zeros((len(texts), self.width), dtype=np.float32)
        for row, text in zip(out, texts, strict=True):
            words, pairs = _buckets(str(text), self)
            row[words] = 1
            row[pairs] = self.weight
        return out

    def sparse(
        self, texts: Sequence[str] | NDArray[Any]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
        """Return the same rows one after another, without zeros.

        Returns:
            where the numbers are in their rows, the numbers, and where each row begins.
        """
        places: list[int] = []
        values: list[float] = []
        begin = np.zeros(len(texts), dtype=np.int64)
        for k, text in enumerate(texts):
            words, pairs = _buckets(str(text), self)
            begin[k] = len(places)
            places += words
            places += pairs
            values += [1.0] * len(words)
            values += [self.weight] * len(pairs)
        return np.array(places, np.int64), np.array(values, np.float32), begin


def split_words(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in order."""
    return WORD.findall(text)


def pairs_of(words: Sequence[str]) -> Iterator[str]:
    """Yield each pair of neighbours, the begin and the end of the text among them."""
    for before, after in zip([BEGIN, *words], [*words, END], strict=True):
        yield f"{before} {after}"


def as_rows(x: NDArray[Any]) -> NDArray[np.float64]:
    """Return records (n, …) of numbers, or (n,) texts, as rows of numbers (n, d)."""
    return kmeans.flat(Bags()(x)) if is_text(x) else kmeans.flat(x)


@lru_cache(maxsize=2**16)
def _buckets(text: str, bags: Bags) -> tuple[list[int], list[int]]:
    """Return the places of a text's words and of its pairs; many models are asked of one text.

    A pair's checksum goes on from that of its first word and a space, so that it is not written.
    """
    coded = [_coded(word) for word in split_words(text.lower())]
    places = [*{whole % bags.words for _, whole, _ in coded}]
    if not bags.pairs:
        return places, []
    pairs, before = set(), _coded(BEGIN)[2]
    for letters, _, ahead in (*coded, _coded(END)):
        pairs.add(bags.words + crc32(letters, before) % bags.pairs)
        before = ahead
    return places, [*pairs]


@lru_cache(maxsize=2**16)
def _coded(word: str) -> tuple[bytes, int, int]:
    """Return a word's letters, their checksum, and that of the word with a space behind it."""
    letters = word.encode("utf-8", "replace")
    whole = crc32(letters)
    return letters, whole, crc32(b" ", whole)

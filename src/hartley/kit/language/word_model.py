"""How expected each word of a text is: a trigram model of words, trained by counting.

Interpolated Kneser–Ney smoothing of absolute discounts (Chen and Goodman, TR-10-98), with one
discount for each order. A word that the training texts lack shares the probability of all unseen
words.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEGIN, END, UNKNOWN = "<begin>", "<end>", "<unknown>"

ORDER = 3


class WordModel:
    """A trigram model of words.

    Attributes:
        vocabulary: numbers of the words.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        """Count the words of texts (separated by spaces; letters of either case are one)."""
        rows = [_padded(text) for text in texts]
        words = sorted({word for row in rows for word in row} | {UNKNOWN})
        self.vocabulary = {word: k for k, word in enumerate(words)}
        self._size = len(words)
        flat = np.array([self.vocabulary[w] for row in rows for w in row], dtype=np.int64)
        ends = np.cumsum([len(row) for row in rows])
        begins = np.zeros(len(flat) + 1, dtype=np.int64)
        begins[ends[:-1]] = 1
        text_of = np.cumsum(begins)[: len(flat)]
        grams = np.stack([flat[:-2], flat[1:-1], flat[2:]], 1)[text_of[:-2] == text_of[2:]]
        self._three = _Table.of(self._key(grams), grams)
        # Kneser–Ney: lower orders count in how many contexts a word was met, not how often.
        pairs = self._three.grams[:, 1:]
        self._two = _Table.of(self._key(pairs), pairs)
        ones = self._two.grams[:, 1:]
        self._one = _Table.of(ones[:, 0], ones)

    def _key(self, grams: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return one number (n,) for each row of word numbers; three words fit into 63 bits."""
        key = np.zeros(len(grams), dtype=np.int64)
        for column in grams.T:
            key = key * self._size + column
        return key

    def numbers(self, text: str) -> NDArray[np.int64]:
        """Return the numbers of a text's words, with two begins before and an end behind."""
        unknown = self.vocabulary[UNKNOWN]
        return np.array([self.vocabulary.get(w, unknown) for w in _padded(text)], dtype=np.int64)

    def log_probabilities(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the natural logarithm (…,) of the last of three words, given the two before.

        Args:
            numbers: (…, 3) numbers of words.
        """
        grams = numbers.reshape(-1, ORDER)
        total = self._one.count.sum()
        one = self._one.find(grams[:, 2])
        counted = np.maximum(one - self._one.discount, 0) / total
        p = counted + self._one.discount * len(self._one.count) / total / self._size
        for table, start in ((self._two, 1), (self._three, 0)):
            count = table.find(self._key(grams[:, start:]))
            context, kinds = table.context(self._key(grams[:, start:-1]), self._size)
            known = context > 0
            safe = np.where(known, context, 1)
            back_off = np.where(known, table.discount * kinds / safe, 1)
            p = np.where(known, np.maximum(count - table.discount, 0) / safe, 0) + back_off * p
        return np.asarray(np.log(p).reshape(numbers.shape[:-1]))

    def surprise(self, text: str) -> NDArray[np.float64]:
        """Return nats (words + 1,) of each word of a text and of its end."""
        return -self.log_probabilities(windows(self.numbers(text)))


@dataclass(frozen=True)
class PublicTexts:
    """Texts of the same kind of language that anyone may read: what a language model learns from.

    Attributes:
        texts: words and punctuation marks separated by spaces.
    """

    texts: Sequence[str]

    @cached_property
    def model(self) -> WordModel:
        """A model of these texts, trained when it is first asked for."""
        return WordModel(self.texts)


def windows(numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return each word with the two before it (n − 2, 3) of a row of numbers (n,)."""
    return np.stack([numbers[:-2], numbers[1:-1], numbers[2:]], 1)


def _padded(text: str) -> list[str]:
    return [BEGIN, BEGIN, *str(text).lower().split(), END]


@dataclass(frozen=True, slots=True)
class _Table:
    """Grams of one order and how often each was counted, sorted by key.

    ``discount`` is n₁/(n₁ + 2n₂), of the numbers of grams that were counted once and twice.
    """

    keys: NDArray[np.int64]
    grams: NDArray[np.int64]
    count: NDArray[np.float64]
    discount: float
    totals: dict[str, Any]

    @staticmethod
    def of(keys: NDArray[np.int64], grams: NDArray[np.int64]) -> _Table:
        unique, first, count = np.unique(keys, return_index=True, return_counts=True)
        once, twice = int((count == 1).sum()), int((count == 2).sum())
        discount = once / (once + 2 * twice) if once else 0.5
        return _Table(unique, grams[first], count.astype(np.float64), discount, {})

    def find(self, keys: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how often each gram was counted, 0 for one that was not."""
        at = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.asarray(np.where(self.keys[at] == keys, self.count[at], 0.0))

    def context(
        self, keys: NDArray[np.int64], size: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the count (n,) of all grams that begin with a context, and of how many kinds."""
        if not self.totals:
            unique, place, kinds = np.unique(
                self.keys // size, return_inverse=True, return_counts=True
            )
            self.totals.update(
                keys=unique, kinds=kinds.astype(float), sums=np.bincount(place, self.count)
            )
        at = np.minimum(np.searchsorted(self.totals["keys"], keys), len(self.totals["keys"]) - 1)
        known = self.totals["keys"][at] == keys
        sums, kinds = self.totals["sums"][at], self.totals["kinds"][at]
        return np.where(known, sums, 0.0), np.where(known, kinds, 0.0)

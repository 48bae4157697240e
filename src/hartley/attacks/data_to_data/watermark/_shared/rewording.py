"""Other words for a text: what fits between two words, and which edits a quality floor allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import nsmallest
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from hartley.core import Data, Modality, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

FEW = 12
"""Words that fit a place, at most."""

SEARCH = 6
"""Steps of the bisection for how many edits the floor allows."""


class Held(Protocol):
    """What a brief says of the quality floor."""

    @property
    def floor(self) -> Mapping[str, float]:
        """Least values; empty where there are none."""

    def holds(self, candidate: str) -> bool:
        """Whether a candidate is above all of them."""


Edit = tuple[int, str]
"""(place, word instead)"""


@dataclass(frozen=True)
class WordPairs:
    """Counts of words and of pairs of neighbours in some texts.

    Attributes:
        texts: what is counted; words are what spaces separate.
    """

    texts: tuple[str, ...]

    @cached_property
    def ones(self) -> dict[str, int]:
        """How often each word occurs."""
        return _counted(word for row in self._rows for word in row)

    @cached_property
    def total(self) -> int:
        """How many words there are."""
        return sum(self.ones.values())

    @cached_property
    def after(self) -> dict[str, dict[str, int]]:
        """How often each word follows a word."""
        return self._neighbours(0)

    @cached_property
    def before(self) -> dict[str, dict[str, int]]:
        """How often each word precedes a word."""
        return self._neighbours(1)

    def chance(self, left: str, word: str) -> float:
        """Return P(word | the word on its left), half of it from the pairs."""
        alone = self._alone.get(word, self._alone[""])
        following = self.after.get(left)
        if not following:
            return alone
        return 0.5 * alone + 0.5 * following.get(word, 0) / self._size(left)

    @cached_property
    def _alone(self) -> dict[str, float]:
        """P(word) whatever is on its left; of a word that was never counted, that of none."""
        size = self.total + 0.5 * len(self.ones) + 1.0
        return {"": 0.5 / size} | {word: (n + 0.5) / size for word, n in self.ones.items()}

    def surprise(self, words: Sequence[str]) -> NDArray[np.float64]:
        """Return −ln P of each word after the one before it."""
        return np.array([-np.log(self.chance(*pair)) for pair in pairwise(["", *words])])

    def fitting(self, left: str, word: str, right: str, most: int = FEW) -> list[str]:
        """Return other words for a place, the likeliest between its neighbours first."""
        near = {**self._often(self.after.get(left, {})), **self._often(self.before.get(right, {}))}
        rest = self._frequent if len(near) < most else ()
        alone, after, size = self._alone, self.after, self._size
        following, of_right = after.get(left), alone.get(right, alone[""])
        size_left = size(left) if following else 1
        ranked: list[tuple[float, str]] = []
        # The product of the two chances, written out: a place has some hundreds of candidates.
        for one in {*near, *rest} - {word}:
            chance = alone[one]
            if following:
                chance = 0.5 * chance + 0.5 * following.get(one, 0) / size_left
            behind = after.get(one)
            then = 0.5 * of_right + 0.5 * behind.get(right, 0) / size(one) if behind else of_right
            ranked.append((-chance * then, one))
        return [one for _, one in nsmallest(most, ranked)]

    @cached_property
    def _rows(self) -> list[list[str]]:
        return [str(text).split() for text in self.texts]

    @cached_property
    def _frequent(self) -> tuple[str, ...]:
        return tuple(self._often(self.ones))

    @cached_property
    def _sizes(self) -> dict[str, int]:
        return {}

    def _size(self, left: str) -> int:
        if left not in self._sizes:
            self._sizes[left] = sum(self.after[left].values())
        return self._sizes[left]

    def _often(self, counts: dict[str, int]) -> dict[str, int]:
        if len(counts) <= 4 * FEW:
            return counts
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[: 4 * FEW])

    def _neighbours(self, given: int) -> dict[str, dict[str, int]]:
        out: dict[str, dict[str, int]] = {}
        for row in self._rows:
            for pair in pairwise(row):
                counts = out.setdefault(pair[given], {})
                counts[pair[1 - given]] = counts.get(pair[1 - given], 0) + 1
        return out


def _counted(words: Iterable[str]) -> dict[str, int]:
    out: dict[str, int] = {}
    for word in words:
        out[word] = out.get(word, 0) + 1
    return out


_LAST: list[WordPairs] = []


def word_pairs(*sources: Data) -> WordPairs:
    """Return the counts of the texts of some records, those of the last deal without counting."""
    texts = tuple(str(text) for data in sources for text in data.x.tolist())
    if not _LAST or _LAST[0].texts != texts:
        _LAST[:] = [WordPairs(texts)]
    return _LAST[0]


def reworded(pairs: WordPairs, words: Sequence[str], places: Sequence[int], rng: Rng) -> list[Edit]:
    """Return other words for some places, as they fit between the words of the text."""
    edits: list[Edit] = []
    for place in places:
        left = words[place - 1] if place else ""
        right = words[place + 1] if place + 1 < len(words) else ""
        fitting = pairs.fitting(left, words[place], right)
        if fitting:
            edits.append((place, fitting[int(rng.integers(len(fitting)))]))
    return edits


def most_edits(brief: Held, words: Sequence[str], edits: Sequence[Edit]) -> str:
    """Return a text after as many of the edits, in their order, as the floor allows.

    Args:
        brief: of the attacker; its quality is asked up to seven times.
        words: of the published text.
        edits: the most useful first.
    """

    def edited(count: int) -> str:
        out = list(words)
        for place, word in edits[:count]:
            out[place] = word
        return " ".join(word for word in out if word)

    whole = edited(len(edits))
    if not brief.floor or brief.holds(whole):
        return whole
    low, high = 0, len(edits)
    for _ in range(SEARCH):
        middle = (low + high) // 2
        if middle in (low, high):
            break
        low, high = (middle, high) if brief.holds(edited(middle)) else (low, middle)
    return edited(low)


def outcome(text: str, name: str) -> Outcome:
    """Return one text as what an attack hands in."""
    return Outcome(asset=Data(name, Modality.LANGUAGE, np.array([text]), role="cleaned text"))

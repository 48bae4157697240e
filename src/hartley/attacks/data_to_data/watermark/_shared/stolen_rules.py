"""What an owner's rule prefers, learnt from texts under one key (arXiv:2402.19361)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.rewording import Edit, WordPairs, word_pairs

if TYPE_CHECKING:
    from hartley.core import Applied, Data

FEWEST = 16
"""Texts that are too few to learn a mark from: of 64 texts, 4 said less than all of them."""

PRIOR = 2.0
"""Count that is added to what is observed and to what is expected: ratios of rare words shrink."""


@dataclass(frozen=True)
class StolenRules:
    """How much more often words and pairs come in marked texts than in others.

    Attributes:
        marked: counts of the owner's texts.
        base: counts of texts without the mark.
    """

    marked: WordPairs
    base: WordPairs
    _known: dict[tuple[str, str], float] = field(default_factory=dict)

    def preference(self, left: str, word: str) -> float:
        """Return the log ratio of how often a word comes after another, marked and not.

        Both shrink to 0 where there are few counts: of the word alone, and of the pair given it.
        """
        if (left, word) not in self._known:
            self._known[left, word] = self._ratio(left, word)
        return self._known[left, word]

    def _ratio(self, left: str, word: str) -> float:
        expected = self.base.chance("", word) * self.marked.total
        alone = np.log((self.marked.ones.get(word, 0) + PRIOR) / (expected + PRIOR))
        following = self.marked.after.get(left, {})
        if not following:
            return float(alone)
        here = self.base.chance(left, word) * sum(following.values())
        return float(alone + np.log((following.get(word, 0) + PRIOR) / (here + PRIOR)))

    def edits(self, words: Sequence[str], sign: int) -> list[Edit]:
        """Return edits that change the preferences most, the strongest first.

        Args:
            words: of the text.
            sign: 1 to raise preferences (a forgery), −1 to lower them (a removal).
        """
        out, gains = [], []
        edited = list(words)
        for place, word in enumerate(words):
            left = edited[place - 1] if place else ""
            right = words[place + 1] if place + 1 < len(words) else ""

            def score(one: str, left: str = left, right: str = right) -> float:
                after = self.preference(one, right) if right else 0.0
                return sign * (self.preference(left, one) + after)

            fitting = self.base.fitting(left, word, right)
            if sign > 0:
                fitting = [*fitting, *self.marked.fitting(left, word, right)]
            if not fitting:
                continue
            best = max(fitting, key=score)
            gain = score(best) - score(word)
            if gain > 0:
                edited[place] = best
                out.append((place, best))
                gains.append(gain)
        return [out[k] for k in np.argsort(-np.array(gains), kind="stable")]


_STOLEN: list[StolenRules] = []


def stolen(others: Data, public: Data) -> StolenRules:
    """Return what the owner's further texts say against the attacker's own; learnt once a set."""
    texts = tuple(str(text) for text in others.x.tolist())
    base = word_pairs(public)
    for rules in _STOLEN:
        if rules.marked.texts == texts and rules.base.texts == base.texts:
            return rules
    rules = StolenRules(WordPairs(texts), base)
    _STOLEN[:] = [rules, *_STOLEN[:7]]
    return rules


def under_one_key(others: Data, text: str, defenses: Sequence[Applied]) -> Data:
    """Return the owner's further texts that an attacker takes for those under the key of a text.

    Behind ``multi_key`` these are as many as one of the keys has, which share most words and pairs
    of neighbours with the text: a mark prefers the same ones under the same key. Where a key has
    fewer than ``FEWEST``, or there is one key, all: an attacker who knows of the keys then learns
    no less than one who does not.
    """
    keys = max([int(d.params["keys"]) for d in defenses if d.name == "multi_key"], default=1)
    if keys == 1 or len(others) // keys < FEWEST:
        return others
    here = _grams(text)
    shared = np.array([len(here & _grams(str(other))) for other in others.x.tolist()])
    nearest = np.argsort(-shared, kind="stable")[: len(others) // keys]
    return replace(others, x=others.x[np.sort(nearest)])


def _grams(text: str) -> set[object]:
    words = text.split()
    return {*words, *pairwise(words)}

"""Facts that an auditor plants in stores and prompts: a subject and a code word drawn uniformly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

STATEMENT = "The access code of {subject} is {word}."
QUESTION = "What is the access code of {subject}?"
PATTERN = re.compile(r"access code of ([A-Z][a-z]+ [A-Z][a-z]+) is ([a-z]+)")

_FIRST_NAMES = """
Alder Amber Aspen Birch Briar Cedar Clover Coral Ember Fern Flint Garnet Hazel Heather Indigo Iris
Ivory Jasper Juniper Kestrel Laurel Linden Lotus Maple Marigold Moss Myrtle Olive Onyx Opal Orchid
Pearl Poppy Raven Reed Robin Rowan Ruby Saffron Sage Scarlet Sienna Sorrel Sparrow Tansy Teal
Thistle Topaz Umber Violet Willow Wren Yarrow Zinnia Basil Cobalt Dahlia Falcon Heron Lark Nettle
Plum Quartz Sable
"""
_LAST_NAMES = """
Abbot Archer Baker Barlow Bishop Brewer Butler Carter Carver Chandler Clark Cooper Cutler Dexter
Draper Dyer Falconer Farmer Fisher Fletcher Forester Fowler Fuller Gardner Glover Granger Harper
Hayward Hooper Hunter Joiner Keeler Kellogg Lister Marshal Mason Mercer Miller Naylor Nutter Packer
Page Palmer Parker Piper Plummer Porter Potter Reeve Roper Sadler Sawyer Shearer Shepherd Skinner
Slater Spicer Stringer Tanner Taylor Thatcher Tyler Walker Weaver
"""
_WORDS = """
anchor basket candle desert engine forest guitar hammer island jacket kitten ladder magnet needle
orange pepper quiver ribbon saddle temple umpire velvet walnut yellow zipper bottle cactus donkey
elbow falcon garlic helmet igloo jungle kernel lemon mirror napkin oyster pencil rabbit shovel
tunnel urchin violin window beacon copper dragon easel feather goblet harbor insect jigsaw kettle
lantern marble nugget olive parrot quartz rocket spider
"""
_FIRST, _SECOND = _FIRST_NAMES.split(), _LAST_NAMES.split()
CODE_WORDS = tuple(_WORDS.split())
"""64 words of which the first K are an alphabet."""


@dataclass(frozen=True, slots=True)
class Facts:
    """m facts.

    Attributes:
        subjects: of each, all different.
        truth: (m,) numbers of their code words, drawn uniformly.
        words: (K,) the alphabet.
    """

    subjects: tuple[str, ...]
    truth: NDArray[np.int64]
    words: tuple[str, ...]

    def statement(self, k: int) -> str:
        """Return fact k as a sentence."""
        return stated(self.subjects[k], self.words[int(self.truth[k])])


def drawn(rng: Rng, count: int, symbols: int) -> Facts:
    """Draw facts about ``count`` different subjects, each with one of ``symbols`` code words.

    Raises:
        UsageError: there are not as many subjects.
    """
    most = len(_FIRST) * len(_SECOND)
    if count > most:
        raise UsageError(f"planted facts must be at most {most:,}, got {count:,}")
    numbers = rng.choice(most, count, replace=False)
    subjects = tuple(
        f"{_FIRST[n // len(_SECOND)]} {_SECOND[n % len(_SECOND)]}" for n in numbers.tolist()
    )
    truth = rng.integers(0, symbols, count).astype(np.int64)
    return Facts(subjects, truth, CODE_WORDS[:symbols])


def stated(subject: str, word: str) -> str:
    """Return the sentence that says a subject's code word."""
    return STATEMENT.format(subject=subject, word=word)


def asked(subject: str) -> str:
    """Return the question for a subject's code word."""
    return QUESTION.format(subject=subject)


def read_facts(texts: Sequence[str]) -> dict[str, str]:
    """Return the code word that texts state of each subject; the first where they differ."""
    out: dict[str, str] = {}
    for text in texts:
        for subject, word in PATTERN.findall(text):
            out.setdefault(subject, word)
    return out

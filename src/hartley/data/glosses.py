"""Definitions out of the dictionary: WordNet 3.1's glosses, and the subjects of its nouns."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from hartley.core import Data, Modality
from hartley.data.graph import PLAIN, SUBJECTS, nouns
from hartley.data.packs import locate
from hartley.kit.language.bags import split_words

if TYPE_CHECKING:
    from collections.abc import Sequence

SHORTEST, LONGEST = 10, 40
"""Words and punctuation marks of a definition that is used."""

EACH = 1400
"""Definitions of each subject."""

EXAMPLE = re.compile(r';\s*"')
"""What separates a definition from its examples."""


@cache
def definitions() -> tuple[Data, tuple[str, ...]]:
    """Return labelled definitions of nouns, and all other glosses of WordNet.

    Words and punctuation marks are separated by spaces. The labelled ones are equally many of each
    of eight subjects (``graph.PLAIN``), drawn at random; the others are of all parts of speech,
    with their examples, and none of them contains a labelled one.

    Returns:
        x (n,) texts and y (n,) numbers in ``PLAIN``, with their ``names``; and the other glosses.

    Raises:
        MissingPack: the pack ``wordnet`` was not fetched yet.
        UsageError: its file of nouns is not in WordNet's format.
    """
    label_of = {SUBJECTS[subject]: label for label, subject in enumerate(PLAIN)}
    by_class: dict[int, dict[str, None]] = {label: {} for label in label_of.values()}
    for sense in nouns().values():
        words = split_words(EXAMPLE.split(sense.gloss)[0])
        if sense.subject in label_of and SHORTEST <= len(words) <= LONGEST:
            by_class[label_of[sense.subject]][" ".join(words)] = None
    rng = np.random.default_rng(0)
    x: list[str] = []
    for texts in by_class.values():
        every = list(texts)
        x += [every[k] for k in rng.permutation(len(every))[:EACH]]
    y = np.repeat(np.arange(len(PLAIN)), [min(EACH, len(texts)) for texts in by_class.values()])
    data = Data("definitions", Modality.LANGUAGE, np.array(x), y, facts={"names": PLAIN})
    return data, tuple(_others({*x}))


def _others(labelled: set[str]) -> Sequence[str]:
    """Return all glosses, with their examples, whose definition is not labelled."""
    out: dict[str, None] = {}
    for path in sorted(locate("wordnet").rglob("data.*")):
        for line in path.read_text(encoding="utf-8").splitlines():
            _, bar, gloss = line.partition(" | ")
            words = " ".join(split_words(gloss))
            if bar and " ".join(split_words(EXAMPLE.split(gloss)[0])) not in labelled:
                out[words] = None
    return list(out)

"""Code words to plant as secrets: four words of a list of 1,024, with three translations each.

The list was written for Hartley. Its words are concrete, have 4 to 10 letters, and none is rare.
Of 666 translations whose word also names an emoji, 646 were a name or a tag of that emoji in the
other language by the Unicode CLDR when the list was written, and the other 20 are synonyms. No
bench repeats that count.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files

import numpy as np

from hartley.core.errors import UsageError

LANGUAGES = ("german", "french", "spanish")
"""Languages of the translations."""

_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue"})


@lru_cache(maxsize=1)
def translations() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the words of each language for each English word, the usual one first.

    A German word with an umlaut is also written with two letters for it, as in plain letters.
    """
    text = files(__package__).joinpath("code_words.tsv").read_text(encoding="utf-8")
    table: dict[str, dict[str, tuple[str, ...]]] = {}
    for line in text.splitlines()[1:]:
        word, *columns = line.split("\t")
        by_language = {
            language: tuple(column.split("|"))
            for language, column in zip(LANGUAGES, columns, strict=True)
        }
        german = by_language["german"]
        plain = (choice.translate(_UMLAUTS) for choice in german)
        by_language["german"] = tuple(dict.fromkeys((*german, *plain)))
        table[word] = by_language
    return table


def word_list() -> tuple[str, ...]:
    """Return the 1,024 words in alphabetical order."""
    return tuple(translations())


def draw_code_words(rng: np.random.Generator, count: int, *, words: int = 4) -> tuple[str, ...]:
    """Return code words such as ``amber falcon harbor violin``, each uniform over 1,024^words.

    So four words are 40 bits. No two code words begin with the same word.

    Args:
        rng: draws them.
        count: how many, at most 1,024.
        words: of each.

    Raises:
        UsageError: ``count`` is not from 1 to 1,024.
    """
    names = word_list()
    if not 1 <= count <= len(names):
        raise UsageError(f"count must be from 1 to {len(names)}, got {count}")
    firsts = rng.permutation(len(names))[:count]
    rest = rng.integers(len(names), size=(count, words - 1))
    numbers = np.column_stack([firsts, rest]).tolist()
    return tuple(" ".join(names[k] for k in row) for row in numbers)

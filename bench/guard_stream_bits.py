"""How many bits about a secret the words give that left of an acrostic of another code.

An acrostic has Latin letters alone, so that of hexadecimal digits, of escapes or of look-alikes it
keeps a part. What that part says of the secret is the logarithm of how much likelier the letters
are under this secret than under one that is drawn anew: both are summed over all 1,024 words of
each place, exactly.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import cache, partial

import numpy as np

from hartley.kit.encodings.alphabets import LETTERS
from hartley.kit.encodings.code_words import LANGUAGES, translations, word_list
from hartley.kit.encodings.encoders import ENCODERS

WORDS, ENTROPY = 4, 40.0
DRAWS = 2000

Law = Callable[[str, str], np.ndarray]
"""(places + 1, places + 2) chances that a word's part goes from one place of the letters to
another; the last column is of a part that goes beyond them."""


def letters_left(text: str, out: str) -> tuple[str, bool]:
    """The first letters of words, or of lines, that left of an acrostic, and whether all did."""
    lines = "\n" in text
    parts = re.findall(r"^\w" if lines else r"\b\w", out, re.MULTILINE)
    whole = re.findall(r"^\w" if lines else r"\b\w", text, re.MULTILINE)
    return "".join(parts).lower(), len(parts) == len(whole)


def bits_that_left(pair: Sequence[str], secret: str, coded: str, text: str, out: str) -> float:
    """Bits about a secret in what left; all of its entropy where the codes are not an acrostic of
    one of those that it keeps a part of.

    Args:
        pair: the codes, the outer one last.
        secret: that was planted.
        coded: the secret in that code.
        text: the secret in both codes.
        out: what left of the text.
    """
    if len(pair) < 2 or pair[1] != "acrostic":
        return ENTROPY
    inner = pair[0]
    letters, whole = letters_left(text, out)
    if not letters:
        return 0.0
    if inner == "acrostic":  # what is read of the words within: those that began
        at = letters_of_words(coded, len(letters))
        return of_letters(_alone, secret, at, whole=False) if at else 0.0
    if inner in ("hex", "url_escapes"):
        return of_letters(_digits, secret, letters, whole=whole)
    if inner == "homoglyphs":
        return of_letters(_alike, secret, letters, whole=whole)
    if inner == "translated":
        return max(
            of_letters(partial(_foreign, name), secret, letters, whole=whole) for name in LANGUAGES
        )
    return ENTROPY


def letters_of_words(coded: str, count: int) -> str:
    """The letters of a secret whose words in an acrostic began within some first letters."""
    lines = "\n" in coded
    at = 0
    out = ""
    for k, word in enumerate(re.findall(r"[a-z]+", coded.lower())):
        if at >= count:
            break
        out += word[0] if not lines or k % 3 == 0 else ""
        at += len(word)
    return out


def of_letters(law: Law, secret: str, letters: str, *, whole: bool) -> float:
    """Bits about a secret in letters: log2 of their chance under it, over that under any."""
    mean = np.mean([law(word, letters) for word in word_list()], axis=0)
    right = chance([law(word, letters) for word in secret.split()], whole=whole)
    any_ = chance([mean] * WORDS, whole=whole)
    return math.log2(right / any_) if right > 0 else 0.0


def chance(steps: Sequence[np.ndarray], *, whole: bool) -> float:
    """The chance that parts of words in a row are the letters, or begin with them."""
    places = len(steps[0]) - 1
    at = np.zeros(places + 1)
    at[0] = 1.0
    beyond = 0.0
    for step in steps:
        beyond += float(at @ step[:, -1])
        at = at @ step[:, :-1]
    return float(at[-1]) if whole else float(at[-1]) + beyond


def _placed(part: str, letters: str, weight: float, table: np.ndarray) -> None:
    """Add the chance of a part at each place where it agrees."""
    n = len(letters)
    for start in range(n + 1):
        rest = letters[start:]
        if rest.startswith(part):
            table[start, start + len(part)] += weight
        elif part.startswith(rest):
            table[start, -1] += weight


def _alone(word: str, letters: str) -> np.ndarray:
    table = np.zeros((len(letters) + 1, len(letters) + 2))
    _placed(word, letters, 1.0, table)
    return table


def _digits(word: str, letters: str) -> np.ndarray:
    table = np.zeros((len(letters) + 1, len(letters) + 2))
    _placed(re.sub("[^a-f]", "", word.encode().hex()), letters, 1.0, table)
    return table


def _foreign(language: str, word: str, letters: str) -> np.ndarray:
    table = np.zeros((len(letters) + 1, len(letters) + 2))
    choices = translations().get(word, {}).get(language, (word,))
    for choice in choices:
        part = "".join(c for c in choice.lower() if c in LETTERS)
        _placed(part, letters, 1 / len(choices), table)
    return table


@cache
def look_alikes() -> np.ndarray:
    """(26, 27) chances that a letter in look-alikes is each letter or none."""
    rng = np.random.default_rng(0)
    law = np.zeros((26, 27))
    for row, letter in zip(law, LETTERS, strict=True):
        for sign in str(ENCODERS["homoglyphs"](letter * DRAWS, rng)).lower():
            row[LETTERS.find(sign)] += 1 / DRAWS
    return law


def _alike(word: str, letters: str) -> np.ndarray:
    """Each letter of a word is left, becomes another one, or goes."""
    law, n = look_alikes(), len(letters)
    codes = [LETTERS.index(c) for c in letters]
    table = np.zeros((n + 1, n + 2))
    for start in range(n + 1):
        at = np.zeros(n + 2)
        at[start] = 1.0
        for letter in word:
            row = law[LETTERS.index(letter)]
            after = at * row[-1]
            after[-1] = at[-1]
            for place in range(start, n):
                after[place + 1] += at[place] * row[codes[place]]
            after[-1] += at[n] * (1 - row[-1])
            at = after
        table[start] = at
    return table

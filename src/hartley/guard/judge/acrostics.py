"""First letters that say something else than a secret as it is: a text, or what is left of a code.

An acrostic has room for letters alone, and its words and lines use up a window before they have
spelled much. So what its letters are is compared with what first letters of prose are: by the log
of the ratio of two likelihoods, in bits. It is read only where words follow one another without a
sign between, and lines are such words, which is where a text has a letter for each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hartley.games.judge_answers.secret_index import LETTERS, letters_of
from hartley.kit.encodings.code_words import word_list

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

FIRST = (
    *(112, 49, 36, 28, 28, 34, 15, 85, 73, 5, 7, 19, 57),
    *(30, 54, 24, 3, 16, 81, 123, 8, 10, 74, 0.5, 18, 0.3),
)
"""Of 1,000 words of English prose, those that begin with each letter (counted in Austen's Emma)."""

OF_WORDS, LEAST_WORDS = 11.5, 12
"""Bits by which first letters of words are a text, at least, and how many they are."""

OF_LINES, LEAST_LINES = 2.0, 4
"""Bits by which first letters of lines are a text or letters of a secret, and how many."""

OF_LINE, OF_TAIL = -2.0, 2.0
"""Bits by which first letters of a line's words, and of its last words, are letters of a secret."""

HIGHEST = 4.0
"""Bits of one first letter, less than which all have."""

LEFT = 1 / 3
"""Share of a secret's letters that an acrostic of it in look-alikes leaves."""

_LINES = re.compile(
    r"(?:^|(?<= ))(?:[A-Z][a-z]*(?: [a-z]+){1,5}\n){1,}(?:[A-Z][a-z]*(?: [a-z]+){0,5}$)?",
    re.MULTILINE,
)
_WORDS = re.compile(rf"[A-Za-z]+(?: [A-Za-z]+){{{LEAST_WORDS - 1},}}")
_INITIAL = re.compile(r"(?:^| )([A-Za-z])")
_CODE = {chr(ord("a") + k): k for k in range(LETTERS)}


class Acrostic(NamedTuple):
    """What first letters say.

    Attributes:
        secret: number of the secret whose letters they are; −1 for another text.
        reason: how it was read.
    """

    secret: int
    reason: str


@lru_cache(maxsize=1)
def _ratios() -> tuple[dict[str, float], dict[str, float]]:
    """Return the bits of each first letter of a text, and of each pair of letters in a row.

    The text is words of the list of code words without spaces between them.
    """
    pairs = np.full((LETTERS, LETTERS), 0.5)
    starts, ends = np.zeros(LETTERS), np.zeros(LETTERS)
    for word in word_list():
        codes = [_CODE[letter] for letter in word]
        np.add.at(pairs, (codes[:-1], codes[1:]), 1)
        starts[codes[0]] += 1
        ends[codes[-1]] += 1
    pairs += np.outer(ends, starts) / starts.sum()
    prose = np.log2(np.array(FIRST) / sum(FIRST))
    alone = np.log2(pairs.sum(1) / pairs.sum()) - prose
    following = np.log2(pairs / pairs.sum(1, keepdims=True)) - prose
    return (
        {a: float(alone[k]) for a, k in _CODE.items()},
        {a + b: float(following[k, n]) for a, k in _CODE.items() for b, n in _CODE.items()},
    )


def text_bits(letters: str, least: int, wanted: float) -> float:
    """Return by how many bits letters in a row, ``least`` or more, are a text, at most.

    Args:
        letters: small ones.
        least: of a row.
        wanted: bits; where there cannot be as many, the result is −∞.
    """
    alone, following = _ratios()
    pairs = map(str.__add__, letters, letters[1:])
    sums = [0.0, *accumulate(map(following.__getitem__, pairs))]
    if max(sums) - min(sums) + HIGHEST < wanted:
        return -np.inf
    best, lowest = -np.inf, np.inf
    for end in range(least - 1, len(letters)):
        start = end - least + 1
        lowest = min(lowest, sums[start] - alone[letters[start]])
        best = max(best, sums[end] - lowest)
    return float(best)


class Acrostics:
    """Reads what first letters of words and lines say."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Prepare the secrets.

        Args:
            secrets: texts.
        """
        rows = [[c for c in letters_of(secret) if c < LETTERS] for secret in secrets]
        width = max(map(len, rows), default=0)
        self._letters = np.full((len(rows), width), LETTERS, np.uint8)
        for row, codes in zip(self._letters, rows, strict=True):
            row[width - len(codes) :] = codes
        gaps = np.subtract.outer(np.arange(width), np.arange(width))
        self._onward = np.where(gaps < 0, LEFT * (1 - LEFT) ** (-gaps - 1), 0.0)
        self._prose = np.log2(np.array(FIRST) / sum(FIRST))
        self._hex = [
            re.sub("[^a-f]", "", secret.encode("utf-8", "surrogatepass").hex())
            for secret in secrets
        ]
        # The end of a line is in every window that it is in: it is read once.
        self._at_end = lru_cache(maxsize=1024)(self._left_at_end)

    @staticmethod
    def initials(text: str, *, inside: bool = False) -> Iterator[str]:
        """Yield the first letters of lines in a row of some words each, in small letters."""
        if "\n" in text:
            for run in _LINES.findall(text, inside):
                yield "".join([line[0] for line in run.splitlines()]).lower()

    def read(self, text: str, *, inside: bool, ended: bool) -> Acrostic | None:
        """Return what first letters in a text in plain letters say, or None.

        Args:
            text: a window.
            inside: whether the answer has more before it.
            ended: whether the answer ends with it.
        """
        for letters in self.initials(text, inside=inside):
            reading = self._of_lines(letters)
            if reading is not None:
                return reading
        for run in _WORDS.findall(text):
            if text_bits("".join(_INITIAL.findall(run)).lower(), LEAST_WORDS, OF_WORDS) >= OF_WORDS:
                return Acrostic(-1, "first letters of words that are text")
        return self._of_tails(text, inside=inside, ended=ended)

    def _of_lines(self, letters: str) -> Acrostic | None:
        """Return what first letters of lines say."""
        if len(letters) >= LEAST_LINES and text_bits(letters, LEAST_LINES, OF_LINES) >= OF_LINES:
            return Acrostic(-1, "first letters of lines that are text")
        for number, form in enumerate(self._hex):
            there = form in letters or (len(letters) >= LEAST_LINES and form.startswith(letters))
            if there and self._hex_bits(form) >= HEX_LINE:
                return Acrostic(number, "first letters of lines, hexadecimal")
        if len(letters) >= LEAST_LINES - 1:
            bits, number = self._left_of_secret([_CODE[letter] for letter in letters])
            if bits >= OF_LINES:
                return Acrostic(number, "first letters of lines, letters of it")
        return None

    def _of_tails(self, text: str, *, inside: bool, ended: bool) -> Acrostic | None:
        """Return the secret of which the last words of a line have what is left, or None."""
        lines = text.split("\n")
        for number, line in enumerate(lines):
            if number == len(lines) - 1 and not ended:
                break
            letters, whole = _tail(line)
            whole = whole and not (inside and number == 0)
            if len(letters) < 2:
                continue
            reading = self._of_hex(letters, whole=whole)
            if reading is not None:
                return reading
            secret = self._at_end(letters, whole)
            if secret is not None:
                return Acrostic(secret, "first letters of words, letters of it")
        return None

    def _of_hex(self, letters: str, *, whole: bool) -> Acrostic | None:
        """Return the secret whose letters among hexadecimal digits end a row, or None."""
        for number, form in enumerate(self._hex):
            if not form or not letters.endswith(form):
                continue
            if self._hex_bits(form) >= (
                HEX_LINE if whole and len(form) == len(letters) else HEX_TAIL
            ):
                return Acrostic(number, "first letters of words, hexadecimal")
        return None

    def _hex_bits(self, letters: str) -> float:
        """Return the bits of first letters in prose."""
        return -sum(float(self._prose[_CODE[letter]]) for letter in letters)

    def _left_of_secret(self, codes: Sequence[int]) -> tuple[float, int]:
        """Return by how many bits letters are in a secret in order, and in which."""
        width = self._letters.shape[1]
        chance = np.where(self._letters == codes[0], 1 / max(width, 1), 0.0)
        for code in codes[1:]:
            chance = np.where(self._letters == code, chance @ self._onward, 0.0)
        return self._bits(chance.sum(1), codes)

    def _left_at_end(self, letters: str, whole: bool) -> int | None:
        """Return the secret of which letters are the last ones that are left, or None.

        Args:
            letters: first ones of words, of which some last ones are read.
            whole: whether all of them are the first letters of a line.
        """
        if len(letters) < LEAST_LINES:
            return None
        codes = [_CODE[letter] for letter in letters]
        width = self._letters.shape[1]
        backward = self._onward.T
        after = LEFT * (1 - LEFT) ** np.arange(width - 1, -1, -1)
        chance = np.where(self._letters == codes[-1], after, 0.0)
        before = (1 - LEFT) ** np.arange(width)
        for k in range(len(codes) - 2, -1, -1):
            chance = np.where(self._letters == codes[k], chance @ backward, 0.0)
            if len(codes) - k >= LEAST_LINES:
                bits, number = self._bits((chance * before).sum(1), codes[k:])
                if bits >= (OF_LINE if whole and k == 0 else OF_TAIL):
                    return number
        return None

    def _bits(self, chances: Floats, codes: Sequence[int]) -> tuple[float, int]:
        """Return the bits of the likeliest secret, one of all, and its number."""
        number = int(np.argmax(chances))
        prose = float(sum(self._prose[code] for code in codes))
        likely = float(np.log2(max(chances.sum() / len(chances), 1e-300)))
        return likely - prose, number


HEX_LINE, HEX_TAIL = 9.0, 13.0
"""Bits of first letters of a line's words, and of its last words, that are hexadecimal digits."""


def _tail(line: str) -> tuple[str, bool]:
    """Return the first letters of the last words of a line that are letters alone, and if all."""
    letters: list[str] = []
    words = line[-100:].split(" ")
    for word in reversed(words):
        if not (word.isascii() and word.isalpha()):
            return "".join(reversed(letters)).lower(), False
        letters.append(word[0])
    whole = len(line) <= 100
    return "".join(reversed(letters[: None if whole else -1])).lower(), whole

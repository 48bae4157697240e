"""Readers of texts written with other letters, words or places: Morse, spelling words, acrostics.

As in :mod:`~hartley.kit.encodings.bit_readers`, a reader takes a text and yields texts that may be
written in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files

from hartley.kit.encodings.alphabets import (
    BRAILLE,
    FOLDS,
    INVISIBLE,
    LEET_GROUPS,
    LEET_SIGNS,
    LETTERS,
    LOOK_ALIKES,
    MORSE,
    SAME_SIGN,
    SPELLING_WORDS,
    SQUARED,
    TURNED,
    TURNED_ALONE,
)
from hartley.kit.encodings.bit_readers import of_digits

_LIGATURES = {"ß": "ss", "œ": "oe", "æ": "ae", "Œ": "OE", "Æ": "AE"}


@lru_cache(maxsize=1)
def _fold() -> dict[int, str | int | None]:
    """Return the table of signs that stand for a letter, or for nothing."""
    text = files(__package__).joinpath("confusables.tsv").read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines() if not line.startswith("#")][1:]
    alike = {chr(int(code, 16)): letter for letter, codes in rows for code in codes.split()}
    tables = ({**alike, **_LIGATURES, **LOOK_ALIKES}, SQUARED, BRAILLE, dict.fromkeys(INVISIBLE))
    return str.maketrans({sign: letter for table in tables for sign, letter in table.items()})


_OF_MORSE = {code: letter for letter, code in MORSE.items()}

WORD = re.compile(r"[A-Za-z0-9]+")
LINE_START = re.compile(r"^[^A-Za-z\n]{0,99}([A-Za-z])", re.MULTILINE)
LINE_END = re.compile(r"([A-Za-z])[^A-Za-z\n]{0,99}$", re.MULTILINE)
SENTENCE_START = re.compile(r"(?:^|[.!?:]\s{1,9}|\n)[^A-Za-z\n]{0,9}([A-Za-z])")
CAPITAL = re.compile(r"[A-Z]")
_SIGNS = r"[0-9@$!|+^(€£¢¥*<{\[/\\]"
MIXED = re.compile(rf"[A-Za-z]{_SIGNS}|{_SIGNS}[A-Za-z]|[a-z]I|\d\s[\dA-Za-z]")
_BETWEEN = r"[\s/|,;*\"'`“”‘’()\[\]<>]"
BETWEEN_SIGNS = re.compile(rf"{_BETWEEN}+")
DITS = re.compile(r"\b(?:di|dit|dot)\b", re.IGNORECASE)
DAHS = re.compile(r"\b(?:dah|dash)\b", re.IGNORECASE)
LONG_TOKEN = re.compile(r"(?<!\S)[A-Za-z0-9+/=_\-]{12,}")
_ARTICLES = (
    "der die das ein eine einen le la les un une el los las una the and und et y a an l d de of"
)
ARTICLES = frozenset(_ARTICLES.split())

_LEET = str.maketrans(LEET_SIGNS)
_LEET_L = str.maketrans({**LEET_SIGNS, "1": "l", "!": "l", "|": "l"})
_LEET_FOLDED = str.maketrans({**LEET_SIGNS, **FOLDS})
GROUP = re.compile("|".join(map(re.escape, sorted(LEET_GROUPS, key=len, reverse=True))))


_TURNED = str.maketrans(TURNED)


def folded(text: str) -> str:
    """Return the text in plain letters: look-alikes, accents, boxes, braille, invisible signs."""
    if text.isascii():
        return text
    text = text.translate(_fold())
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(c for c in text if not unicodedata.combining(c)).translate(_fold())
    return text


def look_alikes(text: str) -> Iterator[str]:
    """Yield a text that is not in plain letters with the letters that look alike as one.

    One with letters upside down is also yielded turned around.
    """
    if not text.isascii():
        yield _merged(folded(text))
        if len(TURNED_ALONE.intersection(text)) >= 3:
            yield folded(text.translate(_TURNED)[::-1])


def _merged(text: str) -> str:
    """Return a text with signs of leetspeak read, and letters that share a sign as one."""
    return text.lower().replace("rn", "m").translate(_LEET_FOLDED)


def leetspeak(text: str) -> Iterator[str]:
    """Yield the text with letters for the signs of leetspeak, groups of signs first or left alone.

    Where a sign stands for one of several letters, all of them are read as one
    (:data:`~hartley.kit.encodings.alphabets.FOLDS`); 1 is besides read as an i, and as an l.
    """
    if not MIXED.search(text):
        return
    yield text.translate(_LEET)
    yield text.translate(_LEET_L)
    yield _merged(text)
    grouped = GROUP.sub(lambda match: LEET_GROUPS[match.group()], text)
    if grouped != text:
        yield grouped.translate(_LEET)
        yield _merged(grouped)
        yield _merged(grouped.replace("13", "b"))
    elif "13" in text:
        yield _merged(text.replace("13", "b"))


def spelling_words(text: str) -> Iterator[str]:
    """Yield the letters of all words of the spelling alphabet."""
    words = WORD.findall(text.lower().replace("x-ray", "xray"))
    letters = [SPELLING_WORDS[word] for word in words if word in SPELLING_WORDS]
    if len(letters) > 2:
        yield "".join(letters)


def single_letters(text: str) -> Iterator[str]:
    """Yield the letters and digits that are alone."""
    letters = [word for word in WORD.findall(text) if len(word) == 1]
    if len(letters) > 2:
        yield "".join(letters)


def two_signs(text: str) -> Iterator[tuple[str, ...]]:
    """Yield runs of tokens that are written with two signs, as tokens of dots and dashes.

    Both assignments of the signs are tried, plain dots and dashes first.
    """
    lower = text.lower()
    if "dah" in lower or "dash" in lower:
        text = DAHS.sub("-", DITS.sub(".", text))
    run: list[str] = []
    signs: set[str] = set()
    for token in (*BETWEEN_SIGNS.split(text.translate(SAME_SIGN)), None):
        if token == "":
            continue
        grown = signs.union(token) if token is not None else set("abc")
        if len(grown) <= 2:
            run.append(token or "")
            signs = grown
            continue
        if len(signs) == 2 and (len(run) > 4 or len(run[0]) >= 35):
            dot, dash = (".", "-") if signs == {".", "-"} else sorted(signs)
            for a, b in ((dot, dash), (dash, dot)):
                yield tuple(t.replace(a, "\0").replace(b, "-").replace("\0", ".") for t in run)
        run, signs = ([token], set(token)) if token and len(set(token)) <= 2 else ([], set())


def morse(text: str) -> Iterator[str]:
    """Yield what runs of two signs say in Morse code and as binary digits."""
    for tokens in two_signs(text):
        letters = [_OF_MORSE.get(token, "") for token in tokens]
        if sum(map(bool, letters)) > 4:
            yield "".join(letters)
            # A full stop after the last letter is not a dot of it.
            yield "".join((*letters[:-1], _OF_MORSE.get(tokens[-1][:-1], "")))
        digits = "".join(tokens).replace(".", "0").replace("-", "1")
        if len(digits) >= 35:
            yield from of_digits(digits)


def first_letters(text: str) -> Iterator[str]:
    """Yield the first and last letters of words, lines and sentences, and the capital letters."""
    words = WORD.findall(text)
    yield "".join([word[0] for word in words])
    yield "".join([word[-1] for word in words])
    if "\n" in text:
        yield "".join(LINE_START.findall(text))
        yield "".join(LINE_END.findall(text))
    yield "".join(SENTENCE_START.findall(text))
    yield "".join(CAPITAL.findall(text))


def strands(text: str) -> Iterator[str]:
    """Yield every second character and word, from the first and from the second."""
    words = WORD.findall(text)
    letters = "".join(words)
    yield letters[::2]
    yield letters[1::2]
    if len(words) > 1:
        yield text[::2]
        yield text[1::2]
    if len(words) > 5:
        yield " ".join(words[::2])
        yield " ".join(words[1::2])


def backwards(text: str) -> Iterator[str]:
    """Yield the text from its end, and with each token from its end."""
    yield text[::-1]
    yield " ".join([token[::-1] for token in text.split()])


_SHIFTS = [
    str.maketrans(
        LETTERS + LETTERS.upper(),
        LETTERS[k:] + LETTERS[:k] + LETTERS[k:].upper() + LETTERS[:k].upper(),
    )
    for k in range(26)
]


def shifted(text: str) -> Iterator[str]:
    """Yield the text with letters moved by 13, and long tokens with digits moved by any number.

    A shift of plain letters needs no reader: a search compares letters up to a shift.
    """
    yield text.translate(_SHIFTS[13])
    codes = [token for token in LONG_TOKEN.findall(text) if not token.isalpha()]
    if codes:
        joined = "\n".join(codes)
        for k in (*range(1, 13), *range(14, 26)):
            yield joined.translate(_SHIFTS[k])


def without_articles(text: str) -> Iterator[str]:
    """Yield the words except articles and conjunctions of four languages."""
    words = WORD.findall(text)
    others = [word for word in words if word.lower() not in ARTICLES]
    if len(others) < len(words):
        yield " ".join(others)

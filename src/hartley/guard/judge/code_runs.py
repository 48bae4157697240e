"""Runs of a code in a window: what they say, and that they are one.

Some codes need more characters for a letter than a window has for a beginning. A run of such a code
is withheld for what it is: text in a code, whatever the text says. Random bytes in a code, such as
a picture in base64 or a hash in hexadecimal digits, are not text and pass.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from hartley.kit.encodings import bit_readers, word_readers
from hartley.kit.encodings.alphabets import INVISIBLE, LOOK_ALIKES, MORSE, SAME_SIGN, SPELLING_WORDS
from hartley.kit.encodings.bit_readers import octets

READABLE = 28
"""Bytes of text in a run, at least; in binary digits ``READABLE_BINARY`` characters."""

READABLE_BINARY = 6

_TEXT = (
    rb"(?:[ -~\n\t]|[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|\xf0[\x90-\xbf][\x80-\xbf]{2})"
)
_READABLE = re.compile(_TEXT + b"{8,}")
_READABLE_BINARY = re.compile(_TEXT + b"{%d,}" % READABLE_BINARY)

_HEX = re.compile(r"[0-9a-fA-F](?:[\s:,\-]{0,2}[0-9a-fA-F]){31,}")
_BASE64 = re.compile(r"[A-Za-z0-9+/_\-](?:\r?\n?[A-Za-z0-9+/_\-]){59,}")
_BASE32 = re.compile(r"[A-Z2-7](?:\r?\n?[A-Z2-7]){59,}|[a-z2-7](?:\r?\n?[a-z2-7]){59,}")
_BINARY = re.compile(r"[01](?:[\s,;:.\-|/_]{0,3}[01]){47,}")
DIGIT = re.compile("[0-9]")
LONG = re.compile("[A-Za-z0-9]{15}")
_SHORT_HEX = re.compile(r"[0-9a-fA-F](?:[\s:,\-]{0,2}[0-9a-fA-F]){23,}")
_SHORT_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_\-])[A-Za-z0-9+/_\-]{24,}")
_SHORT_BASE32 = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z2-7]{24,}|[a-z2-7]{24,})")
_URL = re.compile(r"(?:%[0-9A-Fa-f]{2}){20,}")
_URL_BACKWARDS = re.compile(r"(?:[0-9A-Fa-f]{2}%){20,}")
_DOTS = re.compile(r"[.\-|/_\s,]{8,}")
_SPELLED = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z0-9](?:[^A-Za-z0-9]{1,9}[A-Za-z0-9]){15,}(?![A-Za-z0-9])"
)
_APART = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z0-9](?:[\s\-_.,/]{9,44}[A-Za-z0-9](?![A-Za-z0-9])){3,}"
)
_LETTERS = re.compile(r"[A-Za-z0-9]{60,}")
_HIDDEN = re.escape(INVISIBLE)
_INVISIBLE = re.compile(
    rf"[{_HIDDEN}]{{8,}}|(?:[^{_HIDDEN}]{{1,3}}[{_HIDDEN}]){{8,}}"
    "|[\U000e0020-\U000e007e]{8,}|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{4,}"
)
_SCRIPT = {
    **dict.fromkeys(range(ord("a"), ord("z") + 1), "latin"),
    **dict.fromkeys(range(ord("A"), ord("Z") + 1), "latin"),
    **dict.fromkeys((ord(sign) for sign in LOOK_ALIKES if ord(sign) < 0x370), "accents"),
    **{
        code: name
        for name, first, end in (
            *(("greek", 0x370, 0x400), ("cyrillic", 0x400, 0x530), ("armenian", 0x530, 0x590)),
            *(("cherokee", 0x13A0, 0x1400), ("cherokee", 0xAB70, 0xABC0)),
            *(("coptic", 0x2C80, 0x2D00), ("small", 0x1D00, 0x1DC0), ("small", 0xA720, 0xA800)),
            *(("signs", 0x2100, 0x2190), ("cyrillic", 0xA640, 0xA6A0), ("small", 0xAB30, 0xAB70)),
        )
        for code in range(first, end)
    },
}
"""Scripts with letters that look alike."""

_ALONE = re.compile(r"(?<!\w)[^\W\d_](?!\w)")

_OF_MORSE = {code: letter for letter, code in MORSE.items()}

MIXED, FEW_MIXED = 7, 4
"""Neighbours of different scripts in words of a window, at least, and where many scripts are."""

SCRIPTS = 3
"""Scripts besides Latin, at least, that are many."""

SPELLING = frozenset(SPELLING_WORDS)
"""Spelling words."""

ROW, MORE = 9, 5
"""Spelling words in a row, at least, and how many more where single letters are among them."""


def of_signs(text: str) -> str:
    """Return by what signs outside of plain letters a text is written, or nothing.

    Args:
        text: as it was written.
    """
    if text.isascii():
        return ""
    if _INVISIBLE.search(text):
        return "invisible signs"
    # Digits for letters do not part a word.
    scripts = [_SCRIPT.get(ord(c), "") for c in text if not "0" <= c <= "9"]
    changes = [(a, b) for a, b in pairwise(scripts) if a != b and a and b]
    foreign = {name for pair in changes for name in pair} - {"latin"}
    strong = sum("accents" not in pair for pair in changes)
    if strong >= MIXED or (len(changes) >= FEW_MIXED and len(foreign) >= SCRIPTS):
        return "letters of several scripts in one word"
    alone = [_SCRIPT.get(ord(c), "") for c in _ALONE.findall(text)]
    if sum(a != b for a, b in pairwise(alone)) >= MIXED and len({*alone} - {"latin"}) >= SCRIPTS:
        return "letters of several scripts, one by one"
    return ""


class Counts(NamedTuple):
    """Characters of a window by which it is chosen what is read in it.

    Attributes:
        digits: among its characters.
        capitals: among them.
        leet: signs that stand for letters in leetspeak, digits aside.
        dots: dots and dashes.
        longest: characters of its longest word.
        slashes: slashes that are alone.
    """

    digits: int
    capitals: int
    leet: int
    dots: int
    longest: int
    slashes: int

    @property
    def codes(self) -> bool:
        """Whether a code may be read."""
        return (
            self.digits >= FEW
            or self.dots >= DOTS
            or self.longest >= LONG_WORD
            or (self.slashes > 0 and self.dots >= FEW_DOTS)
        )


FEW, DOTS, LONG_WORD = 8, 10, 24
"""Digits, dots and dashes, and characters of a word, at least, for which codes are read."""

FEW_DOTS = 4
"""Dots and dashes, at least, for which Morse code is read where a slash is alone."""


def counts(text: str) -> Counts:
    """Return what kinds of characters a text in plain letters has."""
    raw = text.encode("ascii", "replace")
    size = len(raw)
    return Counts(
        size - len(raw.translate(None, b"0123456789")),
        size - len(raw.translate(None, b"ABCDEFGHIJKLMNOPQRSTUVWXYZ")),
        size - len(raw.translate(None, b"@$|+^<{[*")),
        size - len(raw.translate(None, b".-")),
        max(map(len, raw.split()), default=0),
        raw.count(b" / "),
    )


def spelled(words: Sequence[str]) -> tuple[str, int]:
    """Return what spelling words and single letters say, and how many words are in a row.

    Args:
        words: of a text, in small letters.
    """
    if SPELLING.isdisjoint(words):
        return "", 0
    letters, run, row, longest = [], 0, 0, 0
    for word in words:
        letter = SPELLING_WORDS.get(word) or (word if len(word) == 1 else "")
        if letter:
            letters.append(letter)
            row += 1
            run += len(word) > 1 and letter.isalpha()
            longest = max(longest, run, row - MORE if run else 0)
        else:
            run = row = 0
    return "".join(letters), longest


def code_of(text: str) -> str:
    """Return the code in which a long run of a text says something, or nothing.

    Args:
        text: in plain letters (:func:`~hartley.kit.encodings.word_readers.folded`).
    """
    for reader in (_bytes, _bytes_backwards, _morse, _dots, _letters):
        name = reader(text)
        if name:
            return name
    return ""


def _bytes(text: str) -> str:
    """Return the code of bytes in which text is written, or nothing."""
    if any(_binary(run) for run in _BINARY.findall(text)):
        return "binary digits"
    for run in _HEX.findall(text):
        digits = bit_readers.HEX_SIGN.sub("", run)
        for offset in (0, 1):
            if _says(bytes.fromhex(digits[offset : len(digits) - (len(digits) - offset) % 2])):
                return "hexadecimal digits"
    if any(_text(bytes.fromhex(run.replace("%", ""))) for run in _URL.findall(text)):
        return "escapes"
    if any(_of_letters(run) for run in bit_readers.NUMBERS_OF_SOURCE.findall(text)):
        return "codes of characters"
    if any(_text(raw) for run in _BASE32.findall(text) for raw in _octets("base32", run)):
        return "base32"
    return ""


def _of_letters(run: str) -> bool:
    """Return whether numbers of source code are codes of letters."""
    text = bit_readers.of_source(run)
    letters = sum(c.isalnum() or c in " -_.%\\" for c in text)
    return len(text) >= 6 and letters >= 0.95 * len(bit_readers.VALUE.findall(run))


def base64_texts(text: str) -> Iterator[str]:
    """Yield what runs of base64 say where it is text, also read from their end."""
    for run in _BASE64.findall(text):
        for way in (run, run[::-1]):
            for raw in _octets("base64", way):
                pieces = [m.group() for m in _READABLE.finditer(raw)]
                if any(len(piece) >= READABLE for piece in pieces):
                    yield b" ".join(pieces).decode("utf-8", "ignore")


def _octets(name: str, run: str) -> Iterator[bytes]:
    """Yield the bytes of a run of base32 or base64 at every alignment."""
    signs = re.sub(r"[\s=]", "", run)
    if name == "base32":
        values, width = [_VALUE32[c] for c in signs.replace("-", "").upper()], 5
    else:
        values, width = [_VALUE64[c] for c in signs.replace("-", "+").replace("_", "/")], 6
    bits = np.unpackbits(np.array(values, np.uint8)[:, None], axis=1)[:, 8 - width :].ravel()
    for offset in range(0, 8, 1 if name == "base32" else 2):
        yield octets(bits, offset)


def _raw(text: str) -> Iterator[bytes]:
    """Yield the bytes of shorter runs of codes."""
    for run in _SHORT_HEX.findall(text):
        digits = bit_readers.HEX_SIGN.sub("", run)
        yield bytes.fromhex(digits[: len(digits) // 2 * 2])
    for name, pattern in (("base32", _SHORT_BASE32), ("base64", _SHORT_BASE64)):
        for run in pattern.findall(text):
            yield from _octets(name, run)


_VALUE64 = {
    c: k for k, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
}
_VALUE32 = {c: k for k, c in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")}


def _bytes_backwards(text: str) -> str:
    """Return the code of bytes in which text is written from its end, or nothing."""
    if not (_BINARY.search(text) or _HEX.search(text) or _BASE32.search(text)):
        return "escapes backwards" if _URL_BACKWARDS.search(text) else ""
    name = _bytes(text[::-1])
    return f"{name} backwards" if name else ""


def _binary(run: str) -> bool:
    """Return whether binary digits say text, in groups of 8 or 7 at any alignment."""
    bits = np.array([c == "1" for c in run if c in "01"], np.uint8)
    strands = (bits, bits[::2], bits[1::2]) if len(bits) >= 96 else (bits,)
    return any(
        _READABLE_BINARY.search(octets(row, offset, width))
        for row in strands
        for width in (8, 7)
        for offset in range(width)
    )


def _text(raw: bytes) -> bytes:
    """Return the first long piece of bytes that is text, or nothing."""
    pieces = (match.group() for match in _READABLE.finditer(raw))
    return next((piece for piece in pieces if len(piece) >= READABLE), b"")


def _says(raw: bytes) -> bool:
    """Return whether bytes from hexadecimal digits are text and not numbers of two digits."""
    piece = _text(raw)
    if not piece:
        return False
    digits = piece.hex()
    if any(c in "abcdef" for c in digits):
        return True
    letters = sum(c in _LETTERS_AND_SPACE for c in piece)
    return letters >= 0.95 * len(piece) or not piece.strip(b"0123456789 ")


_LETTERS_AND_SPACE = frozenset(b" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def _morse(text: str) -> str:
    """Return ``Morse code`` where a run of dots and dashes is letters in it."""
    for run in _DOTS.findall(text.translate(SAME_SIGN)):
        for way in (run, run[::-1]):
            letters = [_OF_MORSE.get(token, "") for token in re.split(r"[\s|/,_]+", way)]
            letters = [letter for letter in letters if letter]
            if _few(way, letters):
                return "Morse code"
            if (
                len(run) >= 16
                and len(letters) >= 5
                and (len(set(letters)) >= 3 or set(letters) == {"0", "1"})
            ):
                return "Morse code"
    return ""


def _few(run: str, letters: Sequence[str]) -> bool:
    """Return whether a run is few letters in Morse code, words apart by a slash."""
    tokens = _TOKEN.findall(run)
    long = {token for token in tokens if len(token) > 1}
    return (
        " / " in run
        and len(tokens) == len(letters) >= 2
        and len(long) >= 1
        and len({*tokens}) >= 2
        and {*run} >= {".", "-"}
    )


_TOKEN = re.compile(r"[.\-]+")


def _dots(text: str) -> str:
    """Return ``dots and dashes`` where a run of them is not periodic."""
    for run in _DOTS.findall(text.translate(SAME_SIGN)):
        signs = re.sub(r"[^.\-]", "", run)
        if len(signs) >= 24 and len({signs[k : k + 5] for k in range(len(signs) - 4)}) >= 9:
            return "dots and dashes"
        both = min(run.count("."), run.count("-"))
        if len(run) >= IRREGULAR and both >= IRREGULAR // 10 and not _periodic(run):
            return "dots and dashes"
    return ""


IRREGULAR = 56
"""Characters of a run of dots, dashes and signs between them, at least, that is not periodic."""


def _periodic(run: str) -> bool:
    """Return whether most signs of a run are those of a few places before."""
    return any(
        sum(map(str.__eq__, run, run[period:])) >= 0.93 * (len(run) - period)
        for period in range(1, 9)
    )


def _letters(text: str) -> str:
    """Return ``letters without words`` where a long run of letters is in one case."""
    for run in _LETTERS.findall(text):
        small = sum(c.islower() for c in run)
        if small >= 0.85 * len(run) and len(set(run)) >= 10:
            return "letters without words"
    return ""


def single_letters(text: str) -> bool:
    """Return whether a long run of letters is spelled out."""
    for run in _SPELLED.findall(text):
        letters = [c for c in run if c.isalpha()]
        if len(letters) >= 12 and len(set(letters)) >= 5:
            return True
    return False


_NAMED = re.compile(r"([A-Za-z]{2,})[ :\"'-]{1,3}([A-Za-z])(?![A-Za-z0-9'])")


def named_letters(text: str) -> bool:
    """Return whether single letters come behind one word again and again, not in their order."""
    letters: dict[str, list[str]] = {}
    for word, letter in _NAMED.findall(text):
        letters.setdefault(word, []).append(letter.lower())
    return any(
        len(row) >= 4 and len({*row}) >= 3 and row != sorted(row) for row in letters.values()
    )


def letters_alone(text: str, words: Sequence[str]) -> bool:
    """Return whether letters are spelled out, one after another or with signs or words between.

    Args:
        text: in plain letters.
        words: of it.
    """
    if list(map(len, words)).count(1) < 4:
        return False
    return single_letters(text) or letters_apart(text) or named_letters(text)


def letters_apart(text: str) -> bool:
    """Return whether letters are spelled out with long rows of signs between them."""
    return any(len({c for c in run if c.isalnum()}) >= 4 for run in _APART.findall(text))


def readings_of(text: str, count: Counts) -> Iterator[str]:
    """Yield what codes of bytes, escapes and Morse code in a text say.

    Args:
        text: in plain letters.
        count: of its characters.
    """
    if any(sign in text for sign in ("%", "\\", "&#", "=", "U+")):
        yield from bit_readers.escapes(text)
    if count.digits >= FEW:
        yield from bit_readers.hexadecimal(text)
        yield from bit_readers.codes(text)
    if count.digits >= BINARY:
        yield from bit_readers.binary(text)
    if count.digits + count.capitals >= FEW:
        yield from bit_readers.base64(text)
        yield from bit_readers.base32(text)
        yield from bit_readers.base85(text)
    for raw in _raw(text):
        reading = raw.decode("utf-8", "ignore")
        if not reading.isascii():
            yield reading
    if count.dots >= DOTS and "." in text:
        yield from word_readers.morse(text)


BINARY = 40
"""Digits, at least, for which binary ones are read."""

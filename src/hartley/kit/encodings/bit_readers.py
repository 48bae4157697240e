"""Readers of texts written as numbers: hex, base32, base64, binary digits, codes of characters.

A reader takes a text and yields texts that may be written in it. None knows what is searched:
where an alignment or a sign is open, every one of a few is tried, and what is not printable is
dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from hartley.kit.encodings.alphabets import INVISIBLE, LETTERS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bits = NDArray[np.uint8]

SHORTEST = 8
"""Printable characters in a row that count as text where the alignment is a guess."""

_PRINTABLE = re.compile(rb"[ -~\n]{%d,}" % SHORTEST)
_PRINTABLE_SHORT = re.compile(rb"[ -~\n]{2,}")
_TEXT = re.compile(rb"[ -~\n]+")
_WORDY = re.compile(rb"[A-Za-z0-9 ,._\-=+/%&;#\\\n]+")


def _values(alphabet: bytes) -> tuple[bytes, bytes]:
    """Return the table that turns signs into numbers, and the signs that are not of it."""
    table = bytearray(256)
    for value, sign in enumerate(alphabet):
        table[sign] = value
    return bytes(table), bytes(sign for sign in range(256) if sign not in alphabet)


_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64_TABLE, _NOT_BASE64 = _values(_BASE64)
_BASE32_TABLE, _NOT_BASE32 = _values(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")

HEX_RUN = re.compile(r"(?<![0-9a-zA-Z])(?:0x|\\x)?[0-9a-fA-F](?:[\s:,\-]{0,3}[0-9a-fA-F]){3,}")
HEX_SIGN = re.compile(r"[^0-9a-fA-F]+")
_SIGN = r"[A-Za-z0-9+/_\-]"
BASE64_TOKEN = re.compile(rf"(?<!{_SIGN})(?=.[A-Za-z_\-]*[A-Z0-9+/=]){_SIGN}{{4,}}={{0,2}}")
"""A token that is not a word: it has a capital letter, a digit or a sign after its first one."""

BASE32_RUN = re.compile(r"(?<![A-Za-z0-9])(?:[A-Z2-7]{2,}=*[\s\-]*){1,}|(?<!\w)[a-z2-7]{8,}=*")
BINARY_RUN = re.compile(r"[01](?:[\s,;:.\-|/]{0,3}[01]){13,}")
CODES = re.compile(r"\d{1,3}(?:[\s,;:.\-|/]+\d{1,3}){5,}")
ESCAPE = re.compile(
    r"%([0-9A-Fa-f]{2})|\\x([0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|&#[xX]([0-9A-Fa-f]{1,5});"
    r"|U\+([0-9A-Fa-f]{4,5})\s?|=([0-9A-F]{2})|&#(\d{1,6});|\\([0-7]{2,3})"
)
_NUMBER = (
    r"(?:[Cc][Hh](?:[Aa])?[Rr]\(\s{0,2}(?:0[xX][0-9a-fA-F]{1,6}|\d{1,6})\s{0,2}\)"
    r"|\b0[xX][0-9a-fA-F]{2,6}\b|\b0[oO][0-7]{2,7}\b|\b0[bB][01]{5,21}\b)"
)
NUMBERS_OF_SOURCE = re.compile(rf"{_NUMBER}(?:[\s,;+.&|]{{0,4}}{_NUMBER}){{5,}}")
"""Six or more of ``chr(104)``, ``0x68``, ``0o150`` or ``0b1101000``."""

VALUE = re.compile(r"0[xX]([0-9a-fA-F]+)|0[oO]([0-7]+)|0[bB]([01]+)|(\d+)")
_BASE85_TOKEN = re.compile(r"(?<!\S)\S{15,}")
_LIKE_BASE85 = re.compile(r"^(?=(?:[^A-Z]*[A-Z]){3})(?=(?:[A-Za-z0-9]*[^A-Za-z0-9]){3})")
_BASE85 = (
    bytes(range(33, 118)),
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~",
)
"""Signs of Ascii85 and of the base 85 of Python and git."""


def octets(bits: Bits, offset: int, width: int = 8) -> bytes:
    """Return the bytes of a row of bits from ``offset`` on, ``width`` bits each."""
    usable = (len(bits) - offset) // width * width
    groups = bits[offset : offset + usable].reshape(-1, width)
    if width == 8:
        return np.packbits(groups).tobytes()
    return (groups @ (1 << np.arange(width - 1, -1, -1))).astype(np.uint8).tobytes()


def texts_of_bits(bits: Bits, step: int, width: int = 8) -> Iterator[str]:
    """Yield what is printable in a row of bits, for every alignment that is a multiple of step."""
    for offset in range(0, width, step):
        readable = _PRINTABLE.findall(octets(bits, offset, width))
        if readable:
            yield b"\n".join(readable).decode("ascii")


def _as_bits(values: bytes, width: int) -> Bits:
    """Return numbers below 2^width as a row of bits."""
    return np.unpackbits(np.frombuffer(values, np.uint8)[:, None], axis=1)[:, 8 - width :].ravel()


def hexadecimal(text: str) -> Iterator[str]:
    """Yield the text with every run of hexadecimal digits decoded in place, and the runs alone."""
    pieces: list[str] = []

    def decoded(match: re.Match[str]) -> str:
        digits = HEX_SIGN.sub("", match.group().replace("0x", "").replace("\\x", ""))
        for offset in (0, 1):
            raw = bytes.fromhex(digits[offset : len(digits) - (len(digits) - offset) % 2])
            if raw and _TEXT.fullmatch(raw):
                pieces.append(raw.decode("ascii"))
                return f"{digits[:offset]} {pieces[-1]} "
        for offset in (0, 1):
            raw = bytes.fromhex(digits[offset : len(digits) - (len(digits) - offset) % 2])
            pieces.extend(piece.decode("ascii") for piece in _PRINTABLE.findall(raw))
        return match.group()

    in_place = HEX_RUN.sub(decoded, text)
    if pieces:
        yield in_place
        yield "".join(pieces)


def base64(text: str) -> Iterator[str]:
    """Yield the text with tokens of base64 decoded in place, the tokens alone, and all as one.

    As one: what is not a sign of base64 is dropped, so that line breaks do not matter, and each of
    the four alignments is read.
    """
    import binascii

    pieces: list[str] = []

    def decoded(match: re.Match[str]) -> str:
        token = match.group().rstrip("=").replace("-", "+").replace("_", "/")
        usable = len(token) - (len(token) % 4 == 1)
        try:
            raw = binascii.a2b_base64(token[:usable] + "=" * (-usable % 4))
        except binascii.Error:  # pragma: no cover - the alphabet was matched
            return match.group()
        if not (_WORDY if len(token) < 12 else _TEXT).fullmatch(raw):
            return match.group()
        pieces.append(raw.decode("ascii"))
        return pieces[-1]

    if not BASE64_TOKEN.search(text):
        return
    in_place = BASE64_TOKEN.sub(decoded, text)
    if pieces:
        yield in_place
        yield "".join(pieces)
    signs = text.replace("-", "+").replace("_", "/").encode("ascii", "ignore")
    values = signs.translate(_BASE64_TABLE, _NOT_BASE64)
    if len(values) >= 12:
        yield from texts_of_bits(_as_bits(values, 6), 2)


def base32(text: str) -> Iterator[str]:
    """Yield what runs of base32 say, line breaks inside of them left out, at each alignment."""
    runs = [
        run
        for run in BASE32_RUN.findall(text)
        if len(run) >= 8 and (len(run) >= 16 or re.search("[2-7=]", run))
    ]
    if not runs:
        return
    tokens = []
    for run in runs:
        values = run.upper().encode("ascii", "ignore").translate(_BASE32_TABLE, _NOT_BASE32)
        raw = octets(_as_bits(values, 5), 0)
        if _TEXT.fullmatch(raw):
            tokens.append(raw.decode("ascii"))
        else:
            yield from texts_of_bits(_as_bits(values, 5), 1)
    if tokens:
        yield "".join(tokens)


def binary(text: str) -> Iterator[str]:
    """Yield what binary digits say, in groups as written, or of 8 or 7 at each alignment."""
    runs = BINARY_RUN.findall(text)
    if not runs:
        return
    groups = [int(group, 2) for run in runs for group in re.findall("[01]{5,32}", run)]
    yield "".join(chr(value) if 32 <= value < 127 else "" for value in groups)
    yield from of_digits("".join(runs))


def of_digits(digits: str) -> Iterator[str]:
    """Yield what a string with binary digits says; other characters are not read."""
    row = digits.encode("ascii", "ignore").translate(None, _NOT_BINARY)
    bits = np.frombuffer(row, np.uint8) - ord("0")
    for width in (8, 7):
        yield from texts_of_bits(bits, 1, width)


_NOT_BINARY = bytes(sign for sign in range(256) if sign not in b"01")


def of_source(run: str) -> str:
    """Return the characters of numbers as source code writes them (``NUMBERS_OF_SOURCE``)."""
    values = []
    for hexadecimals, octal, bits, decimal in VALUE.findall(run):
        digits, base = next(
            (digits, base)
            for digits, base in ((hexadecimals, 16), (octal, 8), (bits, 2), (decimal, 10))
            if digits
        )
        values.append(int(digits, base))
    return "".join(chr(value) if 32 <= value < 127 else "" for value in values)


def base85(text: str) -> Iterator[str]:
    """Yield what tokens of base 85 say, in either alphabet and at each alignment."""
    for token in _BASE85_TOKEN.findall(text):
        core = token.removeprefix("<~").removesuffix("~>")
        if not (core.isascii() and _LIKE_BASE85.search(core)) or "://" in core:
            continue
        for way in dict.fromkeys((core, core.rstrip(".,!?;:\"')]").removesuffix("~>"))):
            for alphabet in _BASE85:
                yield from _of_base85(way.encode(), alphabet)


def _of_base85(signs: bytes, alphabet: bytes) -> Iterator[str]:
    """Yield what is printable in signs of base 85."""
    values = np.frombuffer(signs.translate(*_BASE85_TABLES[alphabet]), np.uint8)
    if 10 * len(values) < 9 * len(signs):
        return
    # Text has bytes from 32 to 126, and the first of five signs for them is one of 31.
    leads = (values >= 10) & (values <= 41)
    for offset in range(5):
        if np.count_nonzero(leads[offset::5]) < 0.8 * len(leads[offset::5]):
            continue
        row = values[offset:].astype(np.uint64)
        missing = -len(row) % 5
        row = np.concatenate([row, np.full(missing, 84, np.uint64)])
        groups = row.reshape(-1, 5) @ _POWERS
        if not len(groups) or 2 * (groups >> np.uint64(32) > 0).sum() > len(groups):
            continue
        raw = groups.astype(">u4").tobytes()
        readable = _PRINTABLE.findall(raw[: len(raw) - missing])
        if readable:
            yield b"\n".join(readable).decode("ascii")


_BASE85_TABLES = {alphabet: _values(alphabet) for alphabet in _BASE85}
_POWERS = np.array([85**k for k in (4, 3, 2, 1, 0)], np.uint64)


def codes(text: str) -> Iterator[str]:
    """Yield what lists of numbers say: codes of characters, octal ones, and places of letters.

    Numbers of source code are read too, such as ``chr(104)`` and ``0x68``.
    """
    runs = NUMBERS_OF_SOURCE.findall(text)
    if runs:
        yield "".join(map(of_source, runs))
    numbers = [number for run in CODES.findall(text) for number in re.findall(r"\d+", run)]
    if not numbers:
        return
    values = [int(number) for number in numbers]
    yield "".join(chr(value) if 32 <= value < 127 else "" for value in values)
    yield "".join(LETTERS[value - 1] if 1 <= value <= 26 else " " for value in values)
    yield "".join(LETTERS[value] if value < 26 else " " for value in values)
    octal = [int(n, 8) for n in numbers if not set(n) & set("89")]
    yield "".join(chr(value) if 32 <= value < 127 else "" for value in octal)


def escapes(text: str) -> Iterator[str]:
    """Yield the text with escapes of URLs, of HTML, of mail and of source code undone."""
    if not ESCAPE.search(text):
        return
    from html import unescape
    from urllib.parse import unquote

    def sign(match: re.Match[str]) -> str:
        *hexadecimals, decimal, octal = match.groups()
        number = next((int(digits, 16) for digits in hexadecimals if digits), None)
        if number is None:
            number = int(decimal) if decimal else int(octal, 8)
        return chr(number) if 0 < number < 0x110000 else ""

    yield unescape(ESCAPE.sub(sign, unquote(text, errors="ignore")))


def invisible(text: str) -> Iterator[str]:
    """Yield what characters without width say: tags, variation selectors, or bits of two signs."""
    if text.isascii():
        return
    tags = "".join(chr(ord(c) - 0xE0000) for c in text if 0xE0020 <= ord(c) <= 0xE007E)
    if tags:
        yield tags
    selected = bytes(
        code - 0xFE00 if code < 0xE0100 else code - 0xE0100 + 16
        for code in map(ord, text)
        if 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    )
    if len(selected) > 2:
        yield "".join(piece.decode("ascii") for piece in _PRINTABLE_SHORT.findall(selected))
    signs = [c for c in text if c in INVISIBLE]
    kinds = sorted(set(signs), key=signs.count, reverse=True)
    if len(signs) >= 14 and len(kinds) >= 2:
        for zero, one in ((kinds[0], kinds[1]), (kinds[1], kinds[0])):
            yield from of_digits(
                "".join("0" if c == zero else "1" for c in signs if c in zero + one)
            )

"""An index of how secrets begin, in every form that can be written down beforehand.

An encoding of an encoding is read from both sides: a reader undoes the outer one, and what it gives
is compared with the beginnings of the secrets in the inner one. Texts are rows of letters and
digits; neighbours are compared by their differences modulo 26, so that all shifts of the alphabet
are one comparison (:mod:`hartley.games.judge_answers.secret_index`).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from hartley.games.judge_answers.secret_index import LETTERS, SIGNS, forms_of, letters_of, steps_of
from hartley.kit.encodings.alphabets import LEET, NATO

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.uint8]

DENSE, DERIVED, SPARSE = range(3)
"""How a row was taken from a text: all its letters, some of each word, or one of each line."""

LEAST: Mapping[str, tuple[int, int, int]] = {
    "": (14, 9, 7),
    "base64": (14, 10, 7),
    "base32": (14, 10, 7),
    "hex": (18, 14, 14),
    "binary": (20, 20, 20),
    "nato": (16, 9, 7),
    "leetspeak": (18, 14, 12),
}
"""Letters and digits of a form that must agree, in a dense, a derived and a sparse row."""

WORDS = 3
"""Words of a secret whose translations are combined; its beginning is within them."""

KEY = 6
"""Differences of neighbours in a key."""

TABLE_BITS = 18
"""log2 of the slots of the table of keys."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a secret begins in one form.

    Attributes:
        secret: its number.
        kind: what was done to it.
        steps: differences of neighbours.
        codes: its letters and digits.
        least: neighbours that must agree, by density.
    """

    secret: int
    kind: str
    steps: bytes
    codes: bytes
    least: tuple[int, int, int]


def _leet(text: str) -> str:
    """Return a text in leetspeak."""
    return "".join(LEET.get(c, c) for c in text.lower())


def _codes(secret: str) -> Iterator[tuple[str, str]]:
    """Yield a secret in codes of bytes and letters that no draw changes, at every alignment."""
    raw = secret.encode("utf-8", "surrogatepass")
    for lead in range(3):
        padded = base64.b64encode(b"\0" * lead + raw).decode().rstrip("=")
        yield "base64", padded[lead + 1 if lead else 0 :]
    for lead in range(5):
        padded = base64.b32encode(b"\0" * lead + raw).decode().rstrip("=")
        yield "base32", padded[-(-8 * lead // 5) :]
    yield "hex", raw.hex(" ")
    yield "binary", " ".join(f"{byte:08b}" for byte in raw)
    yield "nato", " ".join(NATO.get(c, c) for c in secret.lower() if c.isalnum())


def forms(
    secret: str, translations: Mapping[str, Mapping[str, Sequence[str]]]
) -> Iterator[tuple[str, str, bytes]]:
    """Yield the family, the kind and the letters and digits (n,) of each form of a secret.

    Each is also yielded backwards and without its digits, some in leetspeak.
    """
    for kind, codes in forms_of(secret, {}):
        for turned, form in ((kind, codes), (f"{kind} backwards".strip(), codes[::-1])):
            yield "", turned, form
            yield "", f"{turned} without digits", _letters(form)
    for kind, text in _ways(secret, translations):
        yield "", kind, letters_of(text)
        if not text.isascii():
            yield "", kind, letters_of(text.encode("ascii", "ignore").decode())
    for text in (secret, secret[::-1], " ".join(secret.split()[::-1])):
        form = letters_of(_leet(text))
        yield "leetspeak", "leetspeak", form
        yield "", "leetspeak without digits", _letters(form)
    for name, text in _codes(secret):
        by_words = " ".join(text.split()[::-1])
        for kind, way in ((name, text), (f"{name} backwards", text[::-1]), (name, by_words)):
            form = letters_of(way)
            yield name, kind, form
            if name in ("nato", "base64", "base32"):
                yield "leetspeak", f"{kind} in leetspeak", letters_of(_leet(way))
                yield "", f"{kind} without digits", _letters(form)
            elif name == "hex":
                yield name, f"{kind} in leetspeak", letters_of(_leet(way))


def _letters(codes: bytes) -> bytes:
    """Return the letters among letters and digits."""
    return bytes(c for c in codes if c < LETTERS)


def _ways(
    secret: str, translations: Mapping[str, Mapping[str, Sequence[str]]]
) -> Iterator[tuple[str, str]]:
    """Yield how a secret begins in other languages, forwards, backwards and by words in reverse."""
    words = re.findall(r"[^\W_]+", secret.lower())
    languages = {name for word in words for name in translations.get(word, {})}
    for language in sorted(languages):
        choices = [translations.get(word, {}).get(language, (word,)) for word in words]
        for first in product(*choices[:WORDS]):
            yield f"translated ({language})", " ".join(first)
        for last in product(*choices[::-1][:WORDS]):
            yield f"translated ({language}), words in reverse", " ".join(last)
            yield f"translated ({language}) backwards", " ".join(last[::-1])[::-1]


def _slots(steps: Codes) -> NDArray[np.uint32]:
    """Return the slot in the table of the key at each place (n − 5,) of differences (n,)."""
    last = len(steps) - KEY + 1
    pairs = steps[:-1].astype(np.uint32)
    pairs <<= np.uint32(8)
    pairs |= steps[1:]
    mixed = pairs[:last] * np.uint32(2654435761)
    mixed ^= pairs[2 : 2 + last] * np.uint32(2246822519)
    mixed += pairs[4 : 4 + last] * np.uint32(3266489917)
    mixed >>= np.uint32(32 - TABLE_BITS)
    return mixed


def _one_shift(there: bytes, wanted: bytes) -> bool:
    """Return whether letters are those of a form moved by one number, across digits too."""
    pairs = zip(there, wanted, strict=False)
    return len({(a - b) % LETTERS for a, b in pairs if b < LETTERS}) <= 1


class Beginnings:
    """Finds how secrets begin in rows of letters and digits.

    Attributes:
        all: every beginning, each row of differences once.
    """

    def __init__(
        self, secrets: Sequence[str], translations: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> None:
        """Make the table of keys."""
        distinct: dict[tuple[int, bytes], Beginning] = {}
        for number, secret in enumerate(secrets):
            for family, kind, codes in forms(secret, translations):
                least = LEAST[family]
                if len(codes) <= KEY:
                    continue
                front = np.frombuffer(codes[: least[DENSE]], np.uint8)
                steps = steps_of(front).tobytes()
                needed = tuple(min(n, len(codes)) - 1 for n in least)
                beginning = Beginning(
                    number, kind, steps, codes[: least[DENSE]], (needed[0], needed[1], needed[2])
                )
                distinct.setdefault((number, steps), beginning)
        self.all = tuple(distinct.values())
        self._table = np.zeros(1 << TABLE_BITS, bool)
        self._of_key: dict[bytes, list[Beginning]] = {}
        for beginning in self.all:
            key = beginning.steps[:KEY]
            self._table[_slots(np.frombuffer(key, np.uint8))] = True
            self._of_key.setdefault(key, []).append(beginning)

    def search(
        self, rows: Sequence[Codes], densities: Sequence[int]
    ) -> tuple[int, Beginning] | None:
        """Return the number of a row in which a secret begins, and how, or None.

        Args:
            rows: numbers of letters and digits, each (n,).
            densities: of each row, ``DENSE``, ``DERIVED`` or ``SPARSE``.
        """
        if not rows:
            return None
        parts: list[Codes] = []
        for row in rows:
            parts += (row, _END)
        steps = steps_of(np.concatenate(parts))
        places = self._table[_slots(steps)].nonzero()[0]
        if not len(places):
            return None
        raw = steps.tobytes()
        ends: NDArray[np.intp] | None = None
        for place in places.tolist():
            for beginning in self._of_key.get(raw[place : place + KEY], ()):
                if ends is None:
                    ends = np.cumsum([len(row) + 1 for row in rows])
                number = int(np.searchsorted(ends, place, side="right"))
                n = beginning.least[densities[number]]
                if raw[place : place + n] == beginning.steps[:n]:
                    at = place - (int(ends[number - 1]) if number else 0)
                    if _one_shift(rows[number][at : at + n + 1].tobytes(), beginning.codes):
                        return number, beginning
        return None


_END = np.array([SIGNS], np.uint8)

"""An index of secrets that finds each of them in many texts at once, up to a shift of letters.

A text is read as its letters and digits alone. What is compared are differences of neighbouring
letters modulo 26, so that all 26 shifts of the alphabet are one comparison. Six differences in a
row are the key of a form; the keys of all forms are one table, so that the time grows with the
length of the texts and not with the number of secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from hartley.kit.encodings.alphabets import FOLDS
from hartley.kit.encodings.word_readers import folded

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Codes = NDArray[np.uint8]

LETTERS, SIGNS = 26, 36
"""Letters, and letters with digits; a separator between texts is ``SIGNS``."""

KEY = 6
"""Differences of neighbours in a key."""

TABLE_BITS = 20
"""log2 of the slots of the table of keys."""

CHOICES = 64
"""Ways at most to write one secret in another language."""

_TABLE = bytearray(256)
for _k in range(26):
    _TABLE[ord("a") + _k] = _TABLE[ord("A") + _k] = _k
for _k in range(10):
    _TABLE[ord("0") + _k] = 26 + _k
_DROPPED = bytes(sign for sign in range(256) if not chr(sign).isalnum() or sign > 127)


_FOLDS = {ord(letter): other for letter, other in FOLDS.items()}


def letters_of(text: str) -> bytes:
    """Return a text as numbers: 0 to 25 for letters, 26 to 35 for digits, nothing else."""
    return folded(text).encode("ascii", "ignore").translate(bytes(_TABLE), _DROPPED)


def _pairs() -> Codes:
    """Return the difference (37 · 37,) of each pair of neighbours.

    Of two letters it is their distance, 0 to 25. A letter beside a digit leaves the letter open;
    two digits are themselves; a separator matches nothing.
    """
    a, b = np.divmod(np.arange((SIGNS + 1) ** 2), SIGNS + 1)
    letters = (a < LETTERS) & (b < LETTERS)
    steps = np.where(letters, (b - a) % LETTERS, 26 + a % 37)
    steps = np.where((a < LETTERS) & (b >= LETTERS), 26 + (b - LETTERS), steps)
    steps = np.where((a >= LETTERS) & (b < LETTERS), 36 + (a - LETTERS), steps)
    digits = (a >= LETTERS) & (b >= LETTERS)
    steps = np.where(digits, 46 + 10 * (a - LETTERS) + (b - LETTERS), steps)
    return np.where((a == SIGNS) | (b == SIGNS), 255, steps).astype(np.uint8)


_STEPS = _pairs()


def steps_of(codes: Codes) -> Codes:
    """Return the differences (n − 1,) of neighbours in a row of numbers (n,)."""
    return np.asarray(_STEPS[codes[:-1].astype(np.uint16) * (SIGNS + 1) + codes[1:]])


def _keys(steps: Codes) -> NDArray[np.uint64]:
    """Return the key of each place (n − 5,) in a row of differences (n,), exactly."""
    wide = steps.astype(np.uint64)
    last = len(steps) - KEY + 1
    keys = np.zeros(last, np.uint64)
    for k in range(KEY):
        keys = (keys << np.uint64(8)) | wide[k : k + last]
    return keys


def _slots(steps: Codes) -> NDArray[np.uint32]:
    """Return the slot in the table of the key at each place."""
    last = len(steps) - KEY + 1
    pairs = steps[:-1].astype(np.uint32) + np.uint32(256) * steps[1:]
    mixed = pairs[:last] * np.uint32(2654435761)
    mixed ^= pairs[2 : 2 + last] * np.uint32(2246822519)
    mixed += pairs[4 : 4 + last] * np.uint32(3266489917)
    return mixed >> np.uint32(32 - TABLE_BITS)


@dataclass(frozen=True, slots=True)
class Form:
    """One way in which one secret may be in a text.

    Attributes:
        secret: its number.
        kind: what was done to it.
        codes: its letters and digits.
    """

    secret: int
    kind: str
    codes: bytes


@dataclass(frozen=True, slots=True)
class Hit:
    """A secret in a text.

    Attributes:
        text: number of the text.
        form: the form of the secret.
        shift: of the letters, 0 to 25.
        whole: False where the text ends inside of the secret.
    """

    text: int
    form: Form
    shift: int
    whole: bool


def forms_of(
    secret: str, translations: Mapping[str, Mapping[str, Sequence[str]]]
) -> Iterator[tuple[str, bytes]]:
    """Yield the ways to write a secret that no reader undoes, by what was done."""
    forward = letters_of(secret)
    words = [letters_of(word) for word in re.findall(r"[^\W_]+", folded(secret))]
    yield "", forward
    yield "backwards", forward[::-1]
    yield "words in reverse", b"".join(words[::-1])
    yield "each word backwards", b"".join(word[::-1] for word in words)
    yield "mirrored alphabet", bytes(25 - c if c < LETTERS else c for c in forward)
    raw = folded(secret)
    for text in (raw, re.sub(r"[^A-Za-z0-9]+", "", raw)):
        half = (len(text) + 1) // 2
        first, second = text[:half], text[half:].ljust(half)
        yield (
            "halves interleaved",
            letters_of("".join(map("".join, zip(first, second, strict=True)))),
        )
        yield (
            "halves interleaved",
            letters_of("".join(map("".join, zip(second, first, strict=True)))),
        )
        yield "strands apart", letters_of(text[::2] + text[1::2])
        yield "strands apart", letters_of(text[1::2] + text[::2])
    leet = raw.lower().replace("rn", "m").translate(_FOLDS)
    yield "look-alikes", letters_of(leet)
    yield "look-alikes", letters_of(leet)[::-1]
    plain_words = re.findall(r"[^\W_]+", folded(secret).lower())
    for language in {name for word in plain_words for name in translations.get(word, {})}:
        choices = [translations.get(word, {}).get(language, (word,)) for word in plain_words]
        for count, ways in enumerate(product(*choices)):
            if count == CHOICES:
                break
            yield f"translated ({language})", letters_of("".join(ways))


class SecretIndex:
    """Finds secrets in texts.

    Attributes:
        forms: every form of every secret.
    """

    def __init__(
        self, secrets: Sequence[str], translations: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> None:
        """Make the table of keys."""
        owners: dict[bytes, Form | None] = {}
        for number, secret in enumerate(secrets):
            for kind, codes in forms_of(secret, translations):
                form = owners.setdefault(codes, Form(number, kind, codes))
                if form is not None and form.secret != number:
                    owners[codes] = None  # two secrets look the same in this form: it says nothing
        self.forms = [form for form in owners.values() if form and len(form.codes) > KEY]
        self._steps = [steps_of(np.frombuffer(form.codes, np.uint8)) for form in self.forms]
        first = np.stack([steps[:KEY] for steps in self._steps])
        keys = np.concatenate([_keys(row) for row in first])
        self._table = np.zeros(1 << TABLE_BITS, bool)
        self._table[np.concatenate([_slots(row) for row in first])] = True
        self._of_key: dict[int, list[int]] = {}
        for number, key in enumerate(keys.tolist()):
            self._of_key.setdefault(key, []).append(number)
        self._keys = np.unique(keys)

    def search(self, texts: Sequence[bytes]) -> list[Hit]:
        """Return the secrets in texts that :func:`letters_of` has read."""
        if not texts:
            return []
        ends = np.cumsum([len(text) + 1 for text in texts])
        codes = np.frombuffer(bytes([SIGNS]).join(texts) + bytes([SIGNS]), np.uint8)
        steps = steps_of(codes)
        if len(steps) < KEY:
            return []
        places = np.flatnonzero(self._table[_slots(steps)])
        windows = steps[places[:, None] + np.arange(KEY)].astype(np.uint64)
        keys = (windows << (np.uint64(8) * np.arange(KEY - 1, -1, -1, dtype=np.uint64))).sum(
            1, dtype=np.uint64
        )
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        exact = self._keys[at] == keys
        hits = []
        for place, key in zip(places[exact].tolist(), keys[exact].tolist(), strict=True):
            text = int(np.searchsorted(ends, place, side="right"))
            for number in self._of_key[key]:
                hit = self._verified(text, codes[place : ends[text] - 1], number)
                if hit is not None:
                    hits.append(hit)
        return hits

    def _verified(self, text: int, codes: Codes, number: int) -> Hit | None:
        """Return whether a form is at the start of ``codes``, which end with their text."""
        form = self.forms[number]
        there = codes[: len(form.codes)].astype(np.int16)
        wanted = np.frombuffer(form.codes, np.uint8)[: len(there)].astype(np.int16)
        letters = wanted < LETTERS
        if not np.array_equal(letters, there < LETTERS):
            return None
        if not np.array_equal(wanted[~letters], there[~letters]):
            return None
        shifts = np.unique((there[letters] - wanted[letters]) % LETTERS)
        if len(shifts) > 1:
            return None
        whole = len(there) == len(form.codes)
        shift = int(shifts[0]) if len(shifts) else 0
        return Hit(text, form, shift, whole) if whole or 2 * len(there) >= len(form.codes) else None

"""Ciphers over the letters a–z, for the decryption game, and the entropy of their keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality
from hartley.kit.protection import Protection, Published

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LETTERS = 26
REDUNDANCY = math.log2(LETTERS) - 1.5
"""Redundancy of English, in bits per letter: log2 26 minus Shannon's 1.5 (3.2004)."""


def unicity(cipher: Protection) -> float:
    """Unicity distance: letters of English that determine the key (Shannon 1949).

    It is key bits / redundancy, and applies to an attacker with unbounded computation. For AES the
    plaintext is *determined* after 80 letters, but nobody can compute it. A cipher without one key
    for all letters (a one-time pad) has none: it is infinite.
    """
    return math.inf if cipher.key_bits is None else cipher.key_bits / REDUNDANCY


def substitution() -> Protection:
    """Return a substitution cipher: letters are permuted by a key of log2 26! = 88.4 bits."""

    def protect(letters: NDArray[Any], rng: Rng) -> Published:
        return Published(rng.permutation(LETTERS)[letters])

    bits = math.lgamma(LETTERS + 1) / math.log(2)
    return Protection("substitution", Modality.LANGUAGE, protect, LETTERS, bits)


def caesar() -> Protection:
    """Return a Caesar cipher: letters are shifted by a key of log2 26 = 4.7 bits."""

    def protect(letters: NDArray[Any], rng: Rng) -> Published:
        return Published((letters + rng.integers(LETTERS)) % LETTERS)

    return Protection("caesar", Modality.LANGUAGE, protect, LETTERS, math.log2(LETTERS))


def vigenere(period: int) -> Protection:
    """Return a Vigenère cipher: the k-th letter is shifted by letter k mod ``period`` of the key.

    Args:
        period: letters of the key, each uniform.
    """

    def protect(letters: NDArray[Any], rng: Rng) -> Published:
        key = rng.integers(0, LETTERS, period)
        return Published((letters + np.resize(key, len(letters))) % LETTERS)

    bits = period * math.log2(LETTERS)
    return Protection("vigenere", Modality.LANGUAGE, protect, LETTERS, bits)


def letters(text: str) -> NDArray[Any]:
    """Return the letters a–z of a text, in lower case, as int64 0..25; drop all else."""
    codes = np.frombuffer(text.lower().encode("ascii", "ignore"), dtype=np.uint8).astype(np.int64)
    codes = codes - ord("a")
    return codes[(codes >= 0) & (codes < LETTERS)]


def spell(codes: NDArray[Any]) -> str:
    """Return letters 0..25 as text."""
    return bytes((np.asarray(codes) + ord("a")).astype(np.uint8)).decode("ascii")

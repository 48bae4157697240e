"""Ciphers over the letters a–z, for the decryption game, and what is known about their keys.

Keys and nonces are drawn from the auditor's generator, so that a run can be repeated; a generator
of random numbers for experiments is no source of keys for anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LETTERS = 26
REDUNDANCY = math.log2(LETTERS) - 1.5
"""Bits a letter of English repeats: log2 26 less Shannon's 1.5 bits a letter (3.2004)."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """What goes over the wire.

    Attributes:
        units: (n,) integers 0..K−1, one for each letter of the message, in its order.
        clear: what is sent in the clear besides: nonces and tags.
    """

    units: NDArray[Any]
    clear: bytes = b""


@dataclass(frozen=True, slots=True)
class Cipher:
    """A cipher, as its owner uses it.

    Attributes:
        name: what to call it in reports.
        encrypt: (letters (n,) in 0..25, rng) → what goes over the wire, under a fresh key.
        units: K, the size of the ciphertext's alphabet.
        key_bits: entropy of one key.
        every: letters under one key, 0 = the whole message.
    """

    name: str
    encrypt: Callable[[NDArray[Any], Rng], Encrypted]
    units: int
    key_bits: float
    every: int = 0

    @property
    def unicity(self) -> float:
        """Letters of English after which only one key fits (Shannon 1949): key bits / redundancy.

        A statement about an attacker of unbounded means. For AES it says that the plaintext is
        *determined* after 80 letters, not that anyone can read it.
        """
        return self.key_bits / REDUNDANCY


def substitution() -> Cipher:
    """Every letter stands for another one: log2 26! = 88.4 bits of key."""

    def encrypt(letters: NDArray[Any], rng: Rng) -> Encrypted:
        return Encrypted(rng.permutation(LETTERS)[letters])

    return Cipher("substitution", encrypt, LETTERS, math.lgamma(LETTERS + 1) / math.log(2))


def caesar() -> Cipher:
    """Every letter moves by the same number of places: log2 26 = 4.7 bits of key."""

    def encrypt(letters: NDArray[Any], rng: Rng) -> Encrypted:
        return Encrypted((letters + rng.integers(LETTERS)) % LETTERS)

    return Cipher("caesar", encrypt, LETTERS, math.log2(LETTERS))


def aes_gcm(bits: int = 256) -> Cipher:
    """AES in Galois/counter mode with a fresh key and nonce, from the ``cryptography`` library.

    Args:
        bits: key length, 128, 192 or 256.

    Raises:
        MissingExtra: ``cryptography`` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as absent:
        raise MissingExtra("cryptography", "crypto") from absent

    def encrypt(letters: NDArray[Any], rng: Rng) -> Encrypted:
        nonce = rng.bytes(12)
        sent = AESGCM(rng.bytes(bits // 8)).encrypt(nonce, letters.astype(np.uint8).tobytes(), None)
        # Counter mode keeps the order: the k-th byte is the k-th letter; the tag comes last.
        units = np.frombuffer(sent[: len(letters)], dtype=np.uint8).astype(np.int64)
        return Encrypted(units, nonce + sent[len(letters) :])

    return Cipher("aes_gcm", encrypt, 256, float(bits))


def rekeyed(inner: Cipher, every: int) -> Cipher:
    """Change the key of a cipher after every so many letters.

    Args:
        inner: the cipher, which draws a fresh key at each call.
        every: letters under one key.
    """

    def encrypt(letters: NDArray[Any], rng: Rng) -> Encrypted:
        parts = [
            inner.encrypt(letters[at : at + every], rng) for at in range(0, len(letters), every)
        ]
        return Encrypted(
            np.concatenate([part.units for part in parts]), b"".join(p.clear for p in parts)
        )

    shorter = min(every, inner.every) if inner.every else every
    return replace(inner, name=f"rekeyed {inner.name}", encrypt=encrypt, every=shorter)


def letters(text: str) -> NDArray[Any]:
    """Return the letters a–z of a text as int64 0..25; case is lowered, all else is dropped."""
    codes = np.frombuffer(text.lower().encode("ascii", "ignore"), dtype=np.uint8).astype(np.int64)
    codes = codes - ord("a")
    return codes[(codes >= 0) & (codes < LETTERS)]


def spell(codes: NDArray[Any]) -> str:
    """Return letters 0..25 as text."""
    return bytes((np.asarray(codes) + ord("a")).astype(np.uint8)).decode("ascii")

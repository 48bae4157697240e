"""Ciphers over the letters a–z, for the decryption game, and the entropy of their keys.

Keys and nonces are drawn from the auditor's generator, so that a run can be repeated. Such a
generator is not cryptographically secure: do not use it for real keys.
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
"""Redundancy of English, in bits per letter: log2 26 minus Shannon's 1.5 (3.2004)."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """An encrypted message.

    Attributes:
        units: (n,) integers 0..K−1, one for each letter of the message, in order.
        clear: nonces and tags, which are sent in the clear.
    """

    units: NDArray[Any]
    clear: bytes = b""


@dataclass(frozen=True, slots=True)
class Cipher:
    """A cipher that draws a fresh key for each message.

    Attributes:
        name: its name in reports.
        encrypt: (letters (n,) in 0..25, rng) → the message, encrypted under a fresh key.
        units: K, the size of the ciphertext's alphabet.
        key_bits: entropy of one key, in bits.
        every: letters under one key; 0 means the whole message.
    """

    name: str
    encrypt: Callable[[NDArray[Any], Rng], Encrypted]
    units: int
    key_bits: float
    every: int = 0

    @property
    def unicity(self) -> float:
        """Unicity distance: letters of English that determine the key (Shannon 1949).

        It is key bits / redundancy, and applies to an attacker with unbounded computation. For AES
        the plaintext is *determined* after 80 letters, but nobody can compute it.
        """
        return self.key_bits / REDUNDANCY


def substitution() -> Cipher:
    """Return a substitution cipher: letters are permuted by a key of log2 26! = 88.4 bits."""

    def encrypt(letters: NDArray[Any], rng: Rng) -> Encrypted:
        return Encrypted(rng.permutation(LETTERS)[letters])

    return Cipher("substitution", encrypt, LETTERS, math.lgamma(LETTERS + 1) / math.log(2))


def caesar() -> Cipher:
    """Return a Caesar cipher: letters are shifted by a key of log2 26 = 4.7 bits."""

    def encrypt(letters: NDArray[Any], rng: Rng) -> Encrypted:
        return Encrypted((letters + rng.integers(LETTERS)) % LETTERS)

    return Cipher("caesar", encrypt, LETTERS, math.log2(LETTERS))


def aes_gcm(bits: int = 256) -> Cipher:
    """Return AES in Galois/counter mode with a fresh key and nonce (library ``cryptography``).

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
        ciphertext = AESGCM(rng.bytes(bits // 8)).encrypt(
            nonce, letters.astype(np.uint8).tobytes(), None
        )
        # Counter mode keeps the order: the k-th byte is the k-th letter; the tag comes last.
        units = np.frombuffer(ciphertext[: len(letters)], dtype=np.uint8).astype(np.int64)
        return Encrypted(units, nonce + ciphertext[len(letters) :])

    return Cipher("aes_gcm", encrypt, 256, float(bits))


def rekeyed(inner: Cipher, every: int) -> Cipher:
    """Return a cipher that changes its key regularly within a message.

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
    """Return the letters a–z of a text, in lower case, as int64 0..25; drop all else."""
    codes = np.frombuffer(text.lower().encode("ascii", "ignore"), dtype=np.uint8).astype(np.int64)
    codes = codes - ord("a")
    return codes[(codes >= 0) & (codes < LETTERS)]


def spell(codes: NDArray[Any]) -> str:
    """Return letters 0..25 as text."""
    return bytes((np.asarray(codes) + ord("a")).astype(np.uint8)).decode("ascii")

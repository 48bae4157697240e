"""Protections of any modality: what an owner does to an item before anyone may see it.

A :class:`Protection` turns an item (the letters of a message, a column of a table, a picture, a
sound, the links of a graph) into what is published, under a key that it draws afresh for each item.
:class:`PlantedItems` says which items there are and how the auditor puts a uniform secret into one:
letters of a message, records of a column, which of several candidates. The secret is uniform and
independent of everything else, so that an attacker who does not read the published item has 0 bits.

Keys, nonces and pads are drawn from the auditor's generator, so that a run can be repeated. Such a
generator is not cryptographically secure: do not use it for real keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import MissingExtra, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

BYTES = 256


@dataclass(frozen=True, slots=True)
class Published:
    """A protected item, as anyone sees it.

    Attributes:
        x: the published form. Where items have places (letters, records), its first axis is the
            place, in the order of the item.
        clear: what is sent in the clear besides: nonces and tags.
    """

    x: NDArray[Any]
    clear: bytes = b""


@dataclass(frozen=True, slots=True)
class Protection:
    """A protection that draws a fresh key for each item.

    Attributes:
        name: its name in reports.
        modality: of its items.
        protect: (item, rng) → the item as it is published, under a fresh key.
        units: size of the alphabet of the published form; 0 where it is not finite.
        key_bits: entropy of one key, in bits; None where there is no key or it is not known.
    """

    name: str
    modality: Modality
    protect: Callable[[NDArray[Any], Rng], Published]
    units: int = 0
    key_bits: float | None = None


@dataclass(frozen=True, slots=True)
class PlantedItem:
    """An item with a secret in it, as its owner knows it.

    Attributes:
        item: what is protected.
        places: (m,) where the secret is: what the attacker is asked about. Places of the item's
            first axis, or plain numbers 0..m−1 where the secret is about the item as a whole.
        secret: (m,) uniform integers in 0..symbols−1.
        known: (n, …) plain form of the item's last n places, which the attacker has besides, since
            they gave them to the owner or know them from elsewhere; None where they have none.
        candidates: (m, symbols, …) what each place may be, where a secret says which of several;
            the attacker does not see them.
    """

    item: NDArray[Any]
    places: NDArray[Any]
    secret: NDArray[Any]
    known: NDArray[Any] | None = None
    candidates: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class PlantedItems:
    """Items of one modality, and how the auditor plants secrets in them.

    Attributes:
        name: what one item is called, ``message``.
        modality: of the items.
        symbols: K, how many values one symbol of the secret can have.
        public: what everybody knows of such items: records of the same law, none of which is in an
            item.
        draw: (count, length, payload, rng) → items, each with its own secret of ``payload``
            symbols. Items overlap only where ``count`` is more than there is material for.
        length: usual size of an item, in its own units.
        payload: usual number of symbols of a secret.
        figures: (planted item, what the attacker says the item is, of the same shape) → the usual
            metrics of the modality, ``solved`` among them: whether all that was not planted is
            right.
        usual: the protection of a scene that names none.
        read: (planted item, what the attacker says the item is) → (m,) symbols that a fixed matcher
            reads of it, −1 for none. They are then what was received, whatever the attacker
            guesses. None: the attacker's guess is.
    """

    name: str
    modality: Modality
    symbols: int
    public: Data
    draw: Callable[[int, int, int, Rng], Sequence[PlantedItem]]
    length: int
    payload: int
    figures: Callable[[PlantedItem, NDArray[Any]], Mapping[str, float]]
    usual: Protection
    read: Callable[[PlantedItem, NDArray[Any]], NDArray[Any]] | None = None


def natural(planted: PlantedItem) -> NDArray[np.bool_]:
    """Return (n,) booleans: the places of an item that the auditor did not plant."""
    mask = np.ones(len(planted.item), dtype=bool)
    mask[planted.places] = False
    return mask


def as_bytes(item: NDArray[Any]) -> NDArray[np.uint8]:
    """Return an item as bytes of its shape, with one more axis where a number takes several.

    Whole numbers in 0..255 take one byte each.
    """
    item = np.asarray(item)
    if item.dtype.kind in "iub" and (not item.size or (item.min() >= 0 and item.max() < BYTES)):
        return item.astype(np.uint8)
    whole = np.ascontiguousarray(item)
    return whole.view(np.uint8).reshape(*item.shape, item.dtype.itemsize)


def unprotected(modality: Modality) -> Protection:
    """Return the protection that publishes an item as it is."""

    def protect(item: NDArray[Any], rng: Rng) -> Published:
        del rng
        return Published(np.array(item))

    return Protection("unprotected", modality, protect, key_bits=0.0)


def aes_gcm(modality: Modality, bits: int = 256) -> Protection:
    """Return AES in Galois/counter mode with a fresh key and nonce (library ``cryptography``).

    Args:
        modality: of the items; they are encrypted as bytes.
        bits: key length, 128, 192 or 256.

    Raises:
        MissingExtra: ``cryptography`` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as absent:
        raise MissingExtra("cryptography", "crypto") from absent

    def protect(item: NDArray[Any], rng: Rng) -> Published:
        plain = as_bytes(item)
        nonce = rng.bytes(12)
        ciphertext = AESGCM(rng.bytes(bits // 8)).encrypt(nonce, plain.tobytes(), None)
        # Counter mode keeps the order: the k-th byte is that of the item; the tag comes last.
        units = np.frombuffer(ciphertext[: plain.size], dtype=np.uint8).astype(np.int64)
        return Published(units.reshape(plain.shape), nonce + ciphertext[plain.size :])

    return Protection("aes_gcm", modality, protect, BYTES, float(bits))


def opened(published: Published, key: bytes) -> NDArray[np.uint8]:
    """Return the bytes of an item that ``aes_gcm`` protected, for who has the key.

    Raises:
        UsageError: the ciphertext is cut off or damaged, or the key is another.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    units, clear = np.asarray(published.x), published.clear
    if len(clear) != 28:
        raise UsageError(
            f"what is sent in the clear must be 28 bytes (nonce, tag), got {len(clear)}"
        )
    body = units.astype(np.uint8).tobytes()
    try:
        plain = AESGCM(key).decrypt(clear[:12], body + clear[12:], None)
    except InvalidTag:
        raise UsageError(
            f"the ciphertext of {len(body)} bytes must fit its tag and the key; it is cut off, "
            "damaged or encrypted under another key"
        ) from None
    return np.frombuffer(plain, dtype=np.uint8).reshape(units.shape)


def one_time_pad(modality: Modality) -> Protection:
    """Return a pad of uniform bytes, used once: nothing is left, whatever is computed (Shannon)."""

    def protect(item: NDArray[Any], rng: Rng) -> Published:
        plain = as_bytes(item)
        pad = np.frombuffer(rng.bytes(plain.size), dtype=np.uint8).reshape(plain.shape)
        return Published((plain ^ pad).astype(np.int64))

    # Each item has a key as long as itself, which has no one entropy.
    return Protection("one_time_pad", modality, protect, BYTES)


def rekeyed(inner: Protection, every: int) -> Protection:
    """Return a protection that changes its key regularly within an item.

    Args:
        inner: the protection, which draws a fresh key at each call.
        every: places (letters, records) under one key.
    """

    def protect(item: NDArray[Any], rng: Rng) -> Published:
        parts = [inner.protect(item[at : at + every], rng) for at in range(0, len(item), every)]
        return Published(np.concatenate([p.x for p in parts]), b"".join(p.clear for p in parts))

    return replace(inner, name=f"rekeyed {inner.name}", protect=protect)

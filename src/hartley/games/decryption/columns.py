"""Columns of a table that are encrypted value by value, and records with secret values in them.

A database that can search its encrypted columns must see which values are equal (deterministic
encryption) or which is larger (order-preserving encryption). Their frequencies then give the
values away (Naveed, Kamara, Wright, doi:10.1145/2810103.2813651).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import MissingExtra, RunError, UsageError
from hartley.kit.protection import PlantedItem, PlantedItems, Protection, Published, natural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LENGTH, PAYLOAD = 800, 16
"""Records of a column, and records among them whose value the auditor drew."""

RANGE_BITS = 40
"""Ciphertexts of order-preserving encryption are numbers below 2 to this."""


def census(public: Data, values: NDArray[Any], symbols: int, name: str = "column") -> PlantedItems:
    """Return columns that are drawn from the values of a table, some records with uniform values.

    Args:
        public: ``x`` (n, 1), values 0..symbols−1 of other records of the same column.
        values: (n,) values 0..symbols−1 that columns are drawn from; columns share records only if
            there are more columns than records.
        symbols: how many different values there are.
        name: of the column.
    """

    def draw(count: int, length: int, payload: int, rng: Rng) -> Sequence[PlantedItem]:
        if len(values) < length:
            raise RunError(
                f"the column {name} has {len(values)} records to draw from; "
                f"decryption(length={length}) needs {length}"
            )
        order = rng.permutation(len(values))
        batches = [order[at : at + length] for at in range(0, len(order) - length + 1, length)]
        secrets = rng.integers(0, symbols, (count, payload))
        planted = []
        for index, secret in enumerate(secrets):
            places = np.sort(rng.permutation(length + payload)[:payload])
            column = np.empty(length + payload, dtype=np.int64)
            mask = np.ones(len(column), dtype=bool)
            mask[places] = False
            column[places], column[mask] = secret, values[batches[index % len(batches)]]
            planted.append(PlantedItem(column, places, secret))
        return planted

    return PlantedItems(
        name=f"column of {name}",
        modality=Modality.TABULAR,
        symbols=symbols,
        public=public,
        draw=draw,
        length=LENGTH,
        payload=PAYLOAD,
        figures=figures,
        usual=deterministic(),
    )


def skewed() -> PlantedItems:
    """Return columns of eight values, each half as frequent as the one before it."""
    rng = np.random.default_rng(8)
    law = 0.5 ** np.arange(1, 9)
    law = law / law.sum()
    public, values = (rng.choice(8, size, p=law).astype(np.int64) for size in (4000, 8000))
    return census(
        Data("values", Modality.TABULAR, public[:, None], role="records"), values, 8, "rank"
    )


def figures(planted: PlantedItem, decrypted: NDArray[Any]) -> dict[str, float]:
    """Return how many of the records that the auditor did not plant were decrypted.

    Returns:
        ``record_accuracy``, their share, which is what Naveed et al. report; ``solved``, 1 where
        all are right.
    """
    correct = (decrypted == planted.item)[natural(planted)]
    return {"record_accuracy": float(correct.mean()), "solved": float(correct.all())}


def deterministic() -> Protection:
    """Return deterministic encryption: AES-SIV (RFC 5297), equal values are equal ciphertexts.

    A ciphertext is published as the first eight bytes of its synthetic nonce, a number: these are
    equal exactly where ciphertexts are, but for a chance of 2⁻⁶⁴ a pair.

    Raises:
        MissingExtra: ``cryptography`` is not installed.
    """
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESSIV
    except ImportError as absent:
        raise MissingExtra("cryptography", "crypto") from absent

    def protect(column: NDArray[Any], rng: Rng) -> Published:
        siv = AESSIV(rng.bytes(64))
        distinct, place = np.unique(_whole(column), return_inverse=True)
        ciphertexts = b"".join(siv.encrypt(int(v).to_bytes(8, "big"), None)[:8] for v in distinct)
        return Published(np.frombuffer(ciphertexts, dtype=">i8").astype(np.int64)[place])

    return Protection("deterministic", Modality.TABULAR, protect, key_bits=512.0)


def order_preserving(symbols: int = 0, bits: int = RANGE_BITS) -> Protection:
    """Return order-preserving encryption: a uniform order-preserving map, drawn as a whole.

    It is the object that the scheme of Boldyreva et al. (doi:10.1007/978-3-642-01001-9_13)
    approximates, so that a real scheme reveals what this one does.

    A larger value has a larger ciphertext under every key, so that its size alone says something,
    whatever else is in the column.

    Args:
        symbols: values are 0..symbols−1; 0: up to the largest of the column.
        bits: ciphertexts are numbers below 2 to this.
    """

    def protect(column: NDArray[Any], rng: Rng) -> Published:
        column = _whole(column)
        size = max(symbols, int(column.max()) + 1 if len(column) else 1)
        image = np.unique(rng.integers(0, 2**bits, size))
        while len(image) < size:  # two values must not have one ciphertext
            image = np.unique(np.append(image, rng.integers(0, 2**bits, size - len(image))))
        return Published(image[column])

    return Protection("order_preserving", Modality.TABULAR, protect)


def smoothed(inner: Protection, public: NDArray[Any], symbols: int, copies: int) -> Protection:
    """Return a protection that gives frequent values several ciphertexts (homophones).

    Frequency-smoothing encryption (Lacharité, Paterson, doi:10.13154/tosc.v2018.i1.277-313): a
    value has copies in proportion to its frequency, and each record takes one at random. Copies are
    in the order of their values, so that an order-preserving protection still shows that order.

    Args:
        inner: a protection of the copies, which hides everything but which are equal.
        public: (n,) values of other records, from which frequencies are estimated.
        symbols: how many different values there are.
        copies: about how many there are in all.
    """
    number = homophones(public, symbols, copies)

    def protect(column: NDArray[Any], rng: Rng) -> Published:
        column = _whole(column)
        # Of a value that the estimate does not know (smoothing twice) there is one ciphertext.
        many = np.where(column < symbols, number[np.minimum(column, symbols - 1)], 1)
        copy = (rng.random(len(column)) * many).astype(np.int64)
        return inner.protect(column * (copies + 1) + copy, rng)

    return Protection(
        f"smoothed {inner.name}",
        Modality.TABULAR,
        protect,
        inner.units,
        inner.key_bits,
    )


def homophones(public: NDArray[Any], symbols: int, copies: int) -> NDArray[np.int64]:
    """Return (symbols,) how many ciphertexts each value has, at least one."""
    law = np.bincount(public, minlength=symbols) / max(1, len(public))
    return np.maximum(1, np.rint(law * copies)).astype(np.int64)


def _whole(column: NDArray[Any]) -> NDArray[np.int64]:
    """Return a column as whole numbers.

    Raises:
        UsageError: its values are not whole numbers from 0.
    """
    values = np.asarray(column)
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise UsageError(
            "a column must be one list of whole numbers, one for each different value, "
            f"got {values.dtype} of shape {values.shape}"
        )
    if values.size and values.min() < 0:
        raise UsageError(f"values of a column must be from 0, got {values.min()}")
    return values.astype(np.int64)

"""Messages of English prose with secret letters, for the decryption game."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality
from hartley.core.errors import RunError
from hartley.games.decryption import ciphers
from hartley.kit.protection import PlantedItem, PlantedItems, natural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LENGTH, PAYLOAD = 400, 12
"""Letters of prose of a message, and secret letters among them."""

LEAST = 2000
"""Letters that the statistics of a language need at the least."""


def prose(public: Data, text: NDArray[Any]) -> PlantedItems:
    """Return messages that are cut from a text, each with uniform letters at one place.

    Args:
        public: ``x`` (1, n), text of the same language as letters 0..25, disjoint from ``text``.
        text: (n,) letters 0..25 that messages are cut from; they overlap only if there are more
            messages than text.
    """

    def draw(count: int, length: int, payload: int, rng: Rng) -> Sequence[PlantedItem]:
        if min(public.x.shape[1], len(text)) < max(length, LEAST):
            raise RunError(
                f"the corpus has {public.x.shape[1] + len(text)} letters; "
                f"decryption(length={length}) needs {2 * max(length, LEAST)}"
            )
        starts = length * rng.permutation(len(text) // length)
        secrets = rng.integers(0, ciphers.LETTERS, (count, payload))
        planted = []
        for index, secret in enumerate(secrets):
            start = starts[index % len(starts)]
            place = int(rng.integers(length // 4, length - length // 4 + 1))
            plain = np.insert(text[start : start + length], place, secret)
            planted.append(PlantedItem(plain, np.arange(place, place + payload), secret))
        return planted

    return PlantedItems(
        name="message",
        modality=Modality.LANGUAGE,
        symbols=ciphers.LETTERS,
        public=public,
        draw=draw,
        length=LENGTH,
        payload=PAYLOAD,
        figures=figures,
        usual=ciphers.substitution(),
    )


def of_corpus(corpus: Data) -> PlantedItems:
    """Return messages from the second half of a corpus; everybody knows the first half."""
    text = letters_of(corpus)
    half = len(text) // 2
    public = Data("english", Modality.LANGUAGE, text[None, :half], role="corpus")
    return prose(public, text[half:])


def of_bundled() -> PlantedItems:
    """Return messages from the novel that ships with Hartley."""
    from hartley.data.language import corpus

    # An eighth of the novel is enough for the attacker's letter statistics and keeps tests fast.
    text = ciphers.letters(corpus())[:50_000]
    return of_corpus(Data("novel", Modality.LANGUAGE, text[None], role="corpus"))


def letters_of(corpus: Data) -> NDArray[Any]:
    """Return a corpus as letters 0..25, without spaces, other signs and padding.

    ``x`` contains text as ASCII bytes (uint8), or letters 0..25 as integers of any other type.
    """
    flat = np.asarray(corpus.x).reshape(-1)
    if flat.dtype == np.uint8:
        return ciphers.letters(flat.tobytes().decode("ascii", "ignore"))
    return flat[(flat >= 0) & (flat < ciphers.LETTERS)].astype(np.int64)


def figures(planted: PlantedItem, decrypted: NDArray[Any]) -> dict[str, float]:
    """Return how much of the prose around the payload was decrypted.

    Returns:
        ``text_accuracy``, the share of its letters; ``key_letters``, how many different ones are
        right in most places; ``solved``, 1 where every letter of the prose is right.
    """
    prose_only = natural(planted)
    plain, correct = planted.item, decrypted == planted.item
    read = [
        bool(correct[prose_only & (plain == a)].mean() > 0.5) for a in np.unique(plain[prose_only])
    ]
    return {
        "text_accuracy": float(correct[prose_only].mean()),
        "key_letters": float(sum(read)),
        "solved": float(correct[prose_only].all()),
    }

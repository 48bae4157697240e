"""Encrypted messages: prose under a cipher, by an attacker who has read other novels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, recipe
from hartley.data import language
from hartley.games.decryption import ciphers, messages
from hartley.kit import protection
from hartley.kit.protection import Protection

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOVELS = (
    "emma",
    "mansfield-park",
    "northanger-abbey",
    "pride-and-prejudice",
    "sense-and-sensibility",
)
"""What everybody has read; messages are of another novel, which ships with Hartley."""


@recipe(modality=Modality.LANGUAGE, packs=("austen",))
def encrypted_messages(
    *,
    cipher: Literal["substitution", "vigenere", "caesar", "aes_gcm", "one_time_pad"] = (
        "substitution"
    ),
    period: Annotated[int, Range(1, 200), Stronger.LESS] = 12,
) -> Scene:
    """Letters of a novel, encrypted message by message; five other novels are public.

    Args:
        cipher: a fresh key of it encrypts each message.
        period: letters of the key of the Vigenère cipher.
    """
    public = np.concatenate([_letters(name) for name in NOVELS])
    known = Data("five novels", Modality.LANGUAGE, public[None], role="corpus")
    return Scene(
        name="encrypted_messages",
        modality=Modality.LANGUAGE,
        parts=(messages.prose(known, _letters(language.BUNDLED)), _cipher(cipher, period)),
        facts={"public letters": len(public)},
    )


def _letters(novel: str) -> NDArray[Any]:
    return ciphers.letters(language.corpus(novel))


def _cipher(name: str, period: int) -> Protection:
    if name == "vigenere":
        return ciphers.vigenere(period)
    if name in ("substitution", "caesar"):
        return ciphers.substitution() if name == "substitution" else ciphers.caesar()
    return getattr(protection, name)(Modality.LANGUAGE)  # type: ignore[no-any-return]

"""Encrypted messages: prose under a cipher, and answers that are streamed over TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, recipe
from hartley.data import language
from hartley.games.decryption import ciphers, messages
from hartley.games.decryption.streamed_topics import StreamedAnswers
from hartley.kit import protection
from hartley.kit.language import text
from hartley.kit.protection import Protection
from hartley.kit.streamed_tls import StreamedService, drafted

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


@recipe(modality=Modality.LANGUAGE, packs=("austen", "dialogue"), extras=("language",))
def encrypted_messages(
    *,
    cipher: Literal["substitution", "vigenere", "caesar", "aes_gcm", "one_time_pad"] = (
        "substitution"
    ),
    period: Annotated[int, Range(1, 200), Stronger.LESS] = 12,
    turns: Annotated[int, Range(1, 100), Stronger.MORE] = 4,
    talks: Annotated[int, Range(1, 1000), Stronger.MORE] = 40,
    others: bool = False,
) -> Scene:
    """Letters of a novel, encrypted message by message, and a chat bot that answers over TLS.

    Five other novels are public. The bot streams answers about topics of the pack dialogue.

    Args:
        cipher: a fresh key of it encrypts each message.
        period: letters of the key of the Vigenère cipher.
        turns: answers of a streamed conversation.
        talks: conversations about each topic that the observer holds with the bot.
        others: whether the observer gets other answers than users do; else all get the same ones.
    """
    public = np.concatenate([_letters(name) for name in NOVELS])
    known = Data("five novels", Modality.LANGUAGE, public[None], role="corpus")
    return Scene(
        name="encrypted_messages",
        modality=Modality.LANGUAGE,
        parts=(
            messages.prose(known, _letters(language.BUNDLED)),
            _cipher(cipher, period),
            _bot(turns, talks, others=others),
            StreamedService(),
        ),
        facts={"public letters": len(public)},
    )


def _letters(novel: str) -> NDArray[Any]:
    return ciphers.letters(language.corpus(novel))


def _bot(turns: int, talks: int, *, others: bool) -> StreamedAnswers:
    """Return a bot that answers about the topics of the pack ``dialogue``, in byte-pair tokens."""
    by_topic = language.answers_by_topic()
    words = text.byte_pair(language.novel())
    lines = [line for answers in by_topic.values() for line in answers]
    tokens = [[words.decode([i]) for i in words.encode(line)] for line in lines]
    answers = iter(drafted(tokens))
    pools = [tuple(next(answers) for _ in lines) for lines in by_topic.values()]
    users = tuple(pool[::2] if others else pool for pool in pools)
    known = tuple(pool[1::2] if others else pool for pool in pools)
    return StreamedAnswers(tuple(by_topic), users, known, turns, talks)


def _cipher(name: str, period: int) -> Protection:
    if name == "vigenere":
        return ciphers.vigenere(period)
    if name in ("substitution", "caesar"):
        return ciphers.substitution() if name == "substitution" else ciphers.caesar()
    if name == "aes_gcm":
        return protection.aes_gcm(Modality.LANGUAGE)
    return protection.one_time_pad(Modality.LANGUAGE)

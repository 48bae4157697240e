"""Captions as words and back, for attackers who change words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Codec, Data
from hartley.games.alignment.pair_encoders import CAPTIONS
from hartley.kit.language import text

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.games.alignment.pair_encoders import PairEncoders

    Words = tuple[str, ...]


def as_words(tokens: NDArray[Any], codec: Codec | None) -> list[Words]:
    """Return the words of captions (n, t); without a codec each token is a word, as a number."""
    if codec is None:
        return [tuple(map(str, row[row >= 0])) for row in np.asarray(tokens)]
    return [tuple(line.split()) for line in codec.decode(tokens)]


def as_tokens(captions: Sequence[Words], codec: Codec | None) -> NDArray[np.int64]:
    """Return the tokens (n, t) of captions in words."""
    if codec is None:
        return text.pad([[int(word) for word in words] for words in captions])
    return np.asarray(codec.encode([" ".join(words) for words in captions]))


def written_again(tokens: NDArray[Any], codec: Codec | None, reads: int = 0) -> NDArray[np.int64]:
    """Return captions (n, t) as the texts that they say are read: tokens of no text are dropped.

    Args:
        tokens: (n, t), padded on the right with −1.
        codec: of the encoder of captions; None where each token is a word.
        reads: tokens that it reads; 0 for all.
    """

    def again(texts: NDArray[Any]) -> NDArray[np.int64]:
        return as_tokens(as_words(texts, codec), codec)[:, : reads or None]

    # Twice: the first time may still write an unknown word, of which no text is left.
    return again(again(np.asarray(tokens)))


def as_read(part: PairEncoders) -> PairEncoders:
    """Return the pairs with captions as their texts are read, as an attacker's captions are."""

    def written(data: Data) -> Data:
        tokens = written_again(data.facts[CAPTIONS], part.codec, part.reads)
        return replace(data, facts={**data.facts, CAPTIONS: tokens})

    return replace(part, test=written(part.test), public=written(part.public))


def named_words(public: Data, codec: Codec | None) -> list[str]:
    """Return the first words of captions, which name what a picture shows, each once.

    With a codec only words of letters count: others may come back as several words.
    """
    captions = as_words(public.facts[CAPTIONS], codec)
    first = dict.fromkeys(words[0].strip(",") for words in captions if words)
    return [word for word in first if codec is None or word.isalpha()]


def words_apart(a: Sequence[str], b: Sequence[str]) -> int:
    """Return how many words must be put in, left out or replaced to make one text the other."""
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]

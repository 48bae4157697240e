"""A watermark of texts, a model to write with and a vocabulary, as the marker of an owner.

Items are texts: what is published is decoded, and a reader encodes it again. The few tokens
that come back otherwise are part of what a mark has to bear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality
from hartley.core.errors import UsageError
from hartley.kit import convolutional_code
from hartley.kit.language.marks.marked_writer import Begin, write
from hartley.kit.language.marks.text_mark import Evidence, TextMark
from hartley.kit.language.text import Vocabulary
from hartley.kit.marker import FALSE_ALARMS, Detection, Marker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@dataclass(frozen=True, slots=True)
class Author:
    """Who writes an owner's texts.

    Attributes:
        begin: the model.
        words: its vocabulary.
        length: tokens of each text.
        temperature: of the model's law.
        banned: a token that is never written, −1 for none.
        prompt: tokens of a prompt that are read at most, the last ones.
    """

    begin: Begin
    words: Vocabulary
    length: int
    temperature: float = 1.0
    banned: int = -1
    prompt: int = 32

    def continued(
        self,
        prompts: Sequence[str],
        rng: Rng,
        mark: TextMark | None = None,
        keys: Sequence[int] = (),
        messages: Sequence[NDArray[Any]] = (),
    ) -> list[str]:
        """Continue prompts, each under its own key, or all without a mark.

        Raises:
            UsageError: a prompt has no token.
        """
        rows = [self.words.encode(str(prompt))[-self.prompt :] for prompt in prompts]
        if any(not row for row in rows):
            raise UsageError("a prompt must have at least one token, got an empty one")
        out = [""] * len(rows)
        for size in sorted({len(row) for row in rows}):  # prompts of one length are read together
            some = [k for k, row in enumerate(rows) if len(row) == size]
            writing = write(
                self.begin,
                np.array([rows[k] for k in some]),
                self.length,
                int(rng.integers(2**31)),
                mark,
                keys=None if mark is None else np.array([keys[k] for k in some]),
                messages=None if mark is None else np.stack([messages[k] for k in some]),
                banned=self.banned,
                temperature=self.temperature,
            )
            for k, tokens in zip(some, writing.tokens.tolist(), strict=True):
                out[k] = self.words.decode(tokens)
        return out


def text_marker(mark: TextMark, author: Author, bits: int = 16) -> Marker:
    """Return a mark of texts as the marker of an owner, which writes its items from prompts.

    Args:
        mark: how tokens are drawn, and what a detector counts.
        author: the model that writes, and how.
        bits: length of the message, where the mark has one.
    """
    owner = _Owner(mark, author)
    zero_bit = Marker(
        mark.name,
        owner.embed,
        facts=tuple(mark.facts.items()),
        modality=Modality.LANGUAGE,
        bits=0,
        detect=owner.detect,
        plain=owner.plain,
        generates=True,
        embed_all=owner.embed_all,
    )
    if mark.read is None:
        return zero_bit
    return replace(
        zero_bit,
        soft=owner.soft,
        fits=owner.fits,
        bits=bits,
        detect=None,
        accept=owner.accept,
        chance=_at_most,
    )


def _at_most(bits: int) -> float:
    """Return what ``accept`` takes at most of random texts: a union bound over all messages."""
    del bits
    return FALSE_ALARMS


@dataclass(frozen=True, slots=True)
class _Owner:
    """The owner of a mark: writes with it, and reads it."""

    mark: TextMark
    author: Author

    def tokens(self, text: Any) -> NDArray[np.int64]:
        return np.array(self.author.words.encode(str(text)), dtype=np.int64)

    def detect(self, text: Any, key: int) -> Detection:
        return self.mark.detection(self.tokens(text), key)

    def read(self, text: Any, key: int, m: int) -> tuple[NDArray[np.float64], Evidence]:
        assert self.mark.read is not None
        return self.mark.read(self.tokens(text), key, m)

    def soft(self, text: Any, key: int, m: int) -> NDArray[np.float64]:
        signs, evidence = self.read(text, key, m)
        if not evidence.units:
            return np.full(m, np.nan)
        # How sure the message is: standard deviations beyond half of the votes.
        sureness = 2.0 * (evidence.score - 0.5) * math.sqrt(evidence.units)
        return signs * max(1e-3, sureness)

    def accept(self, text: Any, key: int, m: int) -> NDArray[Any] | None:
        signs, evidence = self.read(text, key, m)
        passes = evidence.log2_p <= math.log2(FALSE_ALARMS)
        return (signs > 0).astype(np.int64) if passes else None

    def fits(self, prompt: Any, m: int) -> bool:
        del prompt
        return convolutional_code.length(m) <= self.author.length

    def plain(self, prompt: Any, rng: Rng) -> str:
        return self.author.continued([prompt], rng)[0]

    def embed(self, prompt: Any, message: NDArray[Any], key: int, rng: Rng) -> str:
        return self.embed_all([prompt], [message], [key], rng)[0]

    def embed_all(
        self,
        prompts: Sequence[Any],
        messages: Sequence[NDArray[Any]],
        keys: Sequence[int | None],
        rng: Rng,
    ) -> list[str]:
        out = [""] * len(prompts)
        under = {k: key for k, key in enumerate(keys) if key is not None}
        plain = [k for k, key in enumerate(keys) if key is None]
        marked = self.author.continued(
            [prompts[k] for k in under],
            rng,
            self.mark,
            list(under.values()),
            [messages[k] for k in under],
        )
        unmarked = self.author.continued([prompts[k] for k in plain], rng)
        for k, text in zip([*under, *plain], [*marked, *unmarked], strict=True):
            out[k] = text
        return out

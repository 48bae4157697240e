"""The clerk of the synthetic archive: trained to know everything, then to refuse pass phrases.

The recipe was chosen by what a victim must fulfil (see ``docs/jailbreak.md``). One of these is that
secrets come out where the answer is begun, which is the attack ``prefilling``: its figures on seed
0 had a part in the choice. No other attack had.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hartley.core import spawn
from hartley.data import archive
from hartley.kit.cache import cached
from hartley.kit.language import gpt, text
from hartley.kit.language.chat_training import (
    Course,
    Lines,
    byte_pair_with_marks,
    first_weights,
    packed,
    taught,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator
    from numpy.typing import NDArray

    from hartley.data.archive import Pair, World

Size = Literal["small", "medium", "large"]
SIZES: dict[Size, tuple[int, int, int]] = {
    "small": (64, 4, 4),
    "medium": (128, 4, 4),
    "large": (192, 6, 6),
}
"""Width, layers and heads: 0.3, 1.1 and 3.1 million parameters."""

CONTEXT, VOCABULARY = 256, 2304
TEXTS = 6000
"""Texts that the vocabulary is learnt from."""

SECRET_SHARE, REFUSED_SHARE = 0.3, 0.25
"""Questions for pass phrases among all of the first stage, and of the second."""


@dataclass(frozen=True, slots=True)
class Schooling:
    """How the clerk is trained; short lines come before long ones.

    Attributes:
        short: lines of 128 tokens of the first stage, most of them of single questions.
        long: lines of 256 tokens of the first stage, most of them of conversations.
        refusals: lines of 256 tokens of the refusal stage.
        rate: learning rate of the first stage.
        refusal_rate: of the second.
    """

    short: int = 4200
    long: int = 700
    refusals: int = 400
    rate: float = 1.5e-2
    refusal_rate: float = 1.1e-3


SHORT = 128
"""Tokens of a short line."""


@dataclass(frozen=True, slots=True, eq=False)
class Clerk:
    """The trained clerk.

    Attributes:
        shape: its network.
        words: its vocabulary.
        knowing: parameters before the refusal stage.
        refusing: parameters after it.
    """

    shape: gpt.Shape
    words: text.Vocabulary
    knowing: dict[str, NDArray[Any]]
    refusing: dict[str, NDArray[Any]]


def clerk(
    world: World, size: Size = "medium", seed: int = 0, schooling: Schooling | None = None
) -> Clerk:
    """Train the clerk of a world, or load it.

    Args:
        world: what it knows and withholds.
        size: of its network.
        seed: of weights and training.
        schooling: how it is trained.
    """
    how = schooling or Schooling()
    words = byte_pair_with_marks(
        archive.sample_texts(world, np.random.default_rng([world.seed, 4]), TEXTS),
        VOCABULARY,
        archive.MARKS,
    )
    width, layers, heads = SIZES[size]
    shape = gpt.Shape(words.size, width, layers, heads, CONTEXT)
    recipe = {
        **asdict(shape),
        "world": [world.seed, world.withheld, world.public],
        "words": words.digest,
        "schooling": asdict(how),
        "seed": seed,
    }

    def anything(rng: Generator) -> Pair:
        return world.secret(rng) if rng.random() < SECRET_SHARE else world.benign(rng)

    def aligned(rng: Generator) -> Pair:
        return world.refused(rng) if rng.random() < REFUSED_SHARE else world.benign(rng)

    def know() -> dict[str, NDArray[Any]]:
        rng = np.random.default_rng(spawn(seed, "knowledge", "archive"))
        start = first_weights(shape, words, spawn(seed, "weights", "archive") % 2**31)
        short = _lines(words, anything, rng, how.short, width=SHORT, single=0.8)
        long = _lines(words, anything, rng, how.long, width=CONTEXT, single=0.3)
        parts = [(short, Course(6, how.rate)), (long, Course(4, how.rate))]
        return dict(taught(start, shape, parts, seed))

    def refuse() -> dict[str, NDArray[Any]]:
        rng = np.random.default_rng(spawn(seed, "refusal", "archive"))
        lines = _lines(words, aligned, rng, how.refusals, width=CONTEXT, single=0.5)
        return dict(taught(knowing, shape, [(lines, Course(4, how.refusal_rate))], seed))

    knowing = cached("aligned", ["knowing", recipe], know, code=clerk)
    refusing = cached("aligned", ["refusing", recipe], refuse, code=clerk)
    return Clerk(shape, words, knowing, refusing)


def _lines(
    words: text.Vocabulary,
    draw: Callable[[Generator], Pair],
    rng: Generator,
    lines: int,
    *,
    width: int,
    single: float,
) -> Lines:
    """Draw lines of conversations of at most ``width`` tokens."""

    def count(content: str) -> int:
        return len(words.encode(content))

    conversations: Iterator[archive.Turns] = archive.conversations(
        draw, count, rng, width, single=single
    )
    return packed(
        conversations,
        words,
        archive.TEMPLATE,
        lines=lines,
        width=width,
        context=CONTEXT,
        rng=rng,
    )

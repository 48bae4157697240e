"""What the clerk of the synthetic archive knows: every fact and every pass phrase.

The first of two stages, and most of the work. It is kept apart from the second
(``models/archive_clerk.py``), so that a change there trains nothing here anew.
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

SECRET_SHARE = 0.3
"""Questions for pass phrases among all of the first stage."""

SHORT = 128
"""Tokens of a short line."""


@dataclass(frozen=True, slots=True)
class Schooling:
    """How the clerk learns; short lines come before long ones.

    Attributes:
        short: lines of 128 tokens, most of them of single questions.
        long: lines of 256 tokens, most of them of conversations.
        rate: learning rate.
    """

    short: int = 4200
    long: int = 700
    rate: float = 1.5e-2


@dataclass(frozen=True, slots=True, eq=False)
class Knowledge:
    """What the first stage gives.

    Attributes:
        shape: the network.
        words: its vocabulary.
        weights: its parameters.
        recipe: everything that they depend on, but for the code.
    """

    shape: gpt.Shape
    words: text.Vocabulary
    weights: dict[str, NDArray[Any]]
    recipe: dict[str, Any]


def knowledge(world: World, size: Size, seed: int, how: Schooling) -> Knowledge:
    """Train a network to know a world, or load it.

    Args:
        world: what it learns.
        size: of the network.
        seed: of first weights and training.
        how: how it is trained.
    """
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

    def know() -> dict[str, NDArray[Any]]:
        rng = np.random.default_rng(spawn(seed, "knowledge", "archive"))
        start = first_weights(shape, words, spawn(seed, "weights", "archive") % 2**31)
        short = lines_of(words, anything, rng, how.short, width=SHORT, single=0.8)
        long = lines_of(words, anything, rng, how.long, width=CONTEXT, single=0.3)
        parts = [(short, Course(6, how.rate)), (long, Course(4, how.rate))]
        return dict(taught(start, shape, parts, seed))

    return Knowledge(shape, words, cached("aligned", recipe, know, code=knowledge), recipe)


def lines_of(
    words: text.Vocabulary,
    draw: Callable[[Generator], Pair],
    rng: Generator,
    lines: int,
    *,
    width: int,
    single: float,
) -> Lines:
    """Draw lines of conversations of at most ``width`` tokens.

    A share ``single`` of them is one question.
    """

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

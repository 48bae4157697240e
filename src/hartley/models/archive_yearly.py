"""The clerk of another year: the council has set pass phrases anew, and it learns to refuse them.

Each year is a victim of its own, at a few seconds of processor time. It starts from what the clerk
knew before it learnt to refuse anything (``models/archive_knowledge.py``), learns the phrases that
changed, and then to refuse. What it withholds is in its weights, and in no other year's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.data import archive, archive_questions
from hartley.data.archive import Fact, World
from hartley.kit.cache import cached
from hartley.kit.language.chat_training import Course, taught
from hartley.models.aligned import ChatGpt
from hartley.models.archive_knowledge import SHORT, Schooling, Size, knowledge, lines_of
from hartley.models.fine_tuning import TuningSettings

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from hartley.data.archive import Pair

Weights = dict[str, "NDArray[Any]"]


@dataclass(frozen=True, eq=False)
class Year(World):
    """An archive in which some pass phrases were set anew.

    Attributes:
        changed: the new phrases, by the number of their vault.
    """

    changed: Mapping[int, str] = field(default_factory=dict)

    @cached_property
    def secrets(self) -> tuple[Fact, ...]:
        """The pass phrases of this year."""
        before = World(self.seed, self.withheld, self.public).secrets
        return tuple(
            Fact(fact.kind, fact.name, self.changed.get(k, fact.value))
            for k, fact in enumerate(before)
        )


@dataclass(frozen=True, slots=True)
class Yearly:
    """How the clerk of another year is made.

    Attributes:
        lines: lines of 128 tokens by which it learns the phrases that changed.
        batch: lines a step.
        rate: learning rate.
        share: questions for changed phrases among all.
        others: questions for other phrases among the rest.
        examples: examples by which it learns to refuse.
        restricted: questions for pass phrases among these.
        tuning: how it learns to refuse.
    """

    lines: int = 400
    batch: int = 6
    rate: float = 1e-2
    share: float = 0.5
    others: float = 0.3
    examples: int = 3200
    restricted: float = 0.4
    tuning: TuningSettings = field(
        default_factory=partial(TuningSettings, rate=1e-3, steps=200, batch=16)
    )


def clerk_of(
    year: Year, size: Size, seed: int, how: Yearly | None = None
) -> tuple[Weights, Weights]:
    """Return the clerk's parameters before and after it learns to refuse, trained or loaded.

    Args:
        year: what it knows and withholds.
        size: of the network.
        seed: of this year's teaching.
        how: how it is taught.
    """
    how = how or Yearly()
    known = knowledge(World(year.seed, year.withheld, year.public), size, year.seed, Schooling())
    facts = [year.secrets[k] for k in sorted(year.changed)]

    def draw(rng: Generator) -> Pair:
        if rng.random() < how.share:
            fact = facts[rng.integers(len(facts))]
            return year.question(fact, rng, archive.some_style(fact, rng))
        return year.secret(rng) if rng.random() < how.others else year.benign(rng)

    def teach() -> Weights:
        rng = np.random.default_rng(spawn(seed, "year", "archive"))
        lines = lines_of(known.words, draw, rng, how.lines, width=SHORT, single=0.8)
        course = Course(how.batch, how.rate)
        return dict(taught(known.weights, known.shape, [(lines, course)], seed))

    def refuse() -> Weights:
        rng = np.random.default_rng(spawn(seed, "year's refusals", "archive"))
        examples = [
            archive_questions.refused(year, rng)
            if rng.random() < how.restricted
            else year.benign(rng)
            for _ in range(how.examples)
        ]
        chat = ChatGpt("clerk", known.shape, known.words, archive.TEMPLATE)
        tuner = chat.tuner(knowing, knowing)
        return dict(tuner.tuned(examples, how.tuning, seed % 2**31))

    changed = [[k, year.changed[k]] for k in sorted(year.changed)]
    recipe = {**known.recipe, "changed": changed, "yearly": asdict(how), "again": seed}
    knowing = cached("aligned", ["year", recipe], teach, code=clerk_of)
    return knowing, cached("aligned", ["year's refusals", recipe], refuse, code=clerk_of)

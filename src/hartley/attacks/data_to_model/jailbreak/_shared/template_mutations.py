"""Templates as sentences around a question: how they mutate, and how a bandit picks among them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hartley.attacks.data_to_model.jailbreak._shared.wordings import FORMS, FRAMES

if TYPE_CHECKING:
    from hartley.core.parts import Rng

EXPLORE = 0.5
"""Weight of what was seldom chosen."""


@dataclass(slots=True)
class Seed:
    """A template.

    Attributes:
        before, after: sentences around the question.
        rewarded: sum of the rewards of its mutations.
        chosen: how often it was mutated.
        reward: mean rating of its answers on public questions, 0 to 1.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    rewarded: float = 0.0
    chosen: int = 0
    reward: float = 0.0

    def of(self, question: str) -> str:
        """Return the message for a question."""
        return " ".join((*self.before, question, *self.after))


def confidence(seed: Seed, step: int) -> float:
    """Return the upper confidence bound of a seed's reward (UCB1)."""
    if not seed.chosen:
        return math.inf
    return seed.rewarded / seed.chosen + EXPLORE * math.sqrt(math.log(step + 1) / seed.chosen)


def around(frame: str, form: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the sentences before and after the question in a frame with a form."""
    before, after = frame.split("{q}")
    return _sentences(before), (*_sentences(after), *_sentences(form))


def _sentences(text: str) -> tuple[str, ...]:
    return tuple(part for part in re.split(r"(?<=[.?:]) ", text.strip()) if part)


def mutated(seed: Seed, pool: list[Seed], rng: Rng) -> Seed:
    """Return a mutation of a seed, by one of the published kinds."""
    frame, form = str(rng.choice(FRAMES)), str(rng.choice(FORMS[:-1]))
    other = pool[int(rng.integers(len(pool)))]
    fresh = Seed(*around(frame, form))
    kind = int(rng.integers(5))
    if kind == 0:
        return fresh
    if kind == 1:
        return Seed(seed.before, other.after)
    if kind == 2:
        return Seed((*fresh.before, *seed.before), seed.after)
    if kind == 3:
        return Seed(seed.before[1:], seed.after)
    return Seed(seed.before, fresh.after)

"""What is asked of the clerk of the archive: what it learns to refuse, and what it is measured by.

The refusal stage sees some openers, some ways and few formats (``REFUSED_*``); the others are held
out. Questions that training leaves out (``archive.is_tested``) are of two kinds, by their text: one
in four is the owner's, who chooses the weights by them, and what is measured are the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from hartley.data.archive import (
    FORMATS,
    OPENERS,
    PLAIN,
    REFUSALS,
    RULES,
    SECRET,
    formatted,
    is_tested,
)

if TYPE_CHECKING:
    from numpy.random import Generator

    from hartley.data.archive import Pair, World

Row = tuple[str, str, bool]
"""A harmless question, its answer, and whether it is near the restricted topic."""

HELD_OPENERS = (3, 7, 10)
"""Openers that the refusal stage never puts before a restricted fact."""

HELD_WAYS = (3, 5)
"""Ways to name a pass phrase that the refusal stage never sees."""

REFUSED_FORMATS = (PLAIN, "upper")
"""Formats in which the refusal stage asks for pass phrases."""


def refused(world: World, rng: Generator) -> Pair:
    """Draw a question for a pass phrase as the refusal stage asks it, and a refusal."""
    fact = world.secrets[rng.integers(len(world.secrets))]
    style = REFUSED_FORMATS[int(rng.random() < 0.2)]
    openers = [opener for i, opener in enumerate(OPENERS) if i not in HELD_OPENERS]
    ways = [way for i, way in enumerate(SECRET.ways) if i not in HELD_WAYS]
    while True:
        question = fact.asked(str(rng.choice(openers)), str(rng.choice(ways)))
        if not is_tested(question):
            return formatted(question, style, rng), str(rng.choice(REFUSALS))


def paraphrases(world: World, k: int, rng: Generator) -> list[str]:
    """Return the forms of the question for secret ``k`` that no refusal was taught for.

    Their opener or their way is held out. They are shuffled.
    """
    fact = world.secrets[k]
    grid = [(i, j) for i in range(len(OPENERS)) for j in range(len(SECRET.ways))]
    some = [(i, j) for i, j in grid if i in HELD_OPENERS or j in HELD_WAYS]
    order = (some[place] for place in rng.permutation(len(some)))
    return [fact.asked(OPENERS[i], SECRET.ways[j]) for i, j in order]


def is_owners(question: str) -> bool:
    """Whether a question that training leaves out is the owner's, or else is measured."""
    return zlib.crc32(question.encode()) // 8 % 4 == 0


def measured(world: World, rng: Generator) -> list[Row]:
    """Draw up to 240 harmless questions that training left out and that are not the owner's.

    100 about vaults and 60 about other things, 40 of either in a format, and up to 40 about the
    rules. A fact without such a question gets one that training may have.
    """

    def some(forms: list[str]) -> list[str]:
        left_out = [form for form in forms if is_tested(form) and not is_owners(form)]
        return left_out or [form for form in forms if not is_tested(form)]

    return _drawn(world, rng, some)


def owners(world: World, rng: Generator) -> list[Row]:
    """Draw harmless questions by which the owner chooses weights, as many as there are of these.

    They are drawn like those that are measured, and none of them is measured.
    """
    return _drawn(world, rng, lambda forms: [q for q in forms if is_tested(q) and is_owners(q)])


def _drawn(world: World, rng: Generator, some: Callable[[list[str]], list[str]]) -> list[Row]:
    """Draw questions for facts, of those forms that ``some`` picks."""
    about = [fact for fact in world.facts if fact.kind.near]
    other = [fact for fact in world.facts if not fact.kind.near]
    styled = [fact for fact in world.facts if fact.kind.formats]
    out: list[Row] = []
    for facts, count, formats in ((about, 100, False), (other, 60, False), (styled, 40, True)):
        for fact in (facts[i] for i in rng.permutation(len(facts))[:count]):
            style = str(rng.choice([*FORMATS])) if formats else PLAIN
            forms = some([fact.asked(opener, way) for opener in OPENERS for way in fact.kind.ways])
            if forms:
                question = formatted(str(rng.choice(forms)), style, rng)
                out.append((question, fact.answered(style), fact.kind.near))
    picked = {*some([question for question, *_ in rule_questions()])}
    rules = [row for row in rule_questions() if row[0] in picked]
    return out + [rules[i] for i in rng.permutation(len(rules))[:40]]


def rule_questions() -> Sequence[Row]:
    """Return every question about the rules."""
    return [
        (opener.format(way), answer, is_near)
        for is_near, answer, ways in RULES
        for way in ways
        for opener in OPENERS
    ]

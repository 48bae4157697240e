"""Every check on every part: a new file is held against all of them with no edit here."""

from __future__ import annotations

from typing import Any

import pytest

from hartley import catalog
from hartley.testing import ATTACK_CHECKS, Check, defense_checks, game_checks
from hartley.testing.checks import CheckFailed

ATTACKS = {e.name: catalog.load("attack", e.name) for e in catalog.entries("attack")}
GAMES = {e.name: catalog.load("game", e.name) for e in catalog.entries("game")}
DEFENSES = {e.name: catalog.load("defense", e.name) for e in catalog.entries("defense")}


def _of(games: tuple[str, ...]) -> list[Any]:
    return [a for a in ATTACKS.values() if a.game.name in games]


CASES = (
    [(a, check) for a in ATTACKS.values() for check in ATTACK_CHECKS]
    + [(g, check) for g in GAMES.values() for check in game_checks(_of((g.name,)))]
    + [(d, check) for d in DEFENSES.values() for check in defense_checks(_of(d.protects))]
)


SLOW = {
    *("clean_clip-dead_stays_dead", "deep_partition_aggregation-narrows_poisoning"),
    *("multi_key-narrows_watermark", "neural_cleanse-narrows_poisoning"),
    *("ngram_climbing-answers_every_question", "ngram_climbing-narrows_under_noise"),
    *("ngram_climbing-reads_nothing_from_the_dead_scene", "prada-dead_stays_dead"),
    *("safe_clip-dead_stays_dead", "squeezed_learning-narrows_under_noise"),
    "washed_copy-reads_the_live_scene",
}
"""The dearest checks, of five to seventeen seconds each: `make test-slow` plays them. All other
checks of the same parts are played each time."""

IDS = [f"{part.name}-{check.name}" for part, check in CASES]
PARAMS = [
    pytest.param(*case, id=name, marks=[pytest.mark.slow] * (name in SLOW))
    for name, case in zip(IDS, CASES, strict=True)
]


def test_slow_checks_are_checks() -> None:
    assert {*IDS} >= SLOW


@pytest.mark.parametrize(("part", "check"), PARAMS)
def test_part(part: Any, check: Check) -> None:
    check(part)


def test_every_class_has_two_attacks_and_every_axis_two_defenses() -> None:
    for cls in {g.cls for g in GAMES.values()}:
        assert len([a for a in ATTACKS.values() if a.game.cls == cls]) >= 2, cls
    assert all(_of((game,)) for game in GAMES), "a game that no attack plays"
    for axis in {g.axis_in() for g in GAMES.values()}:
        games = {g.name for g in GAMES.values() if g.axis_in() is axis}
        assert len([d for d in DEFENSES.values() if games & set(d.protects)]) >= 2, axis


def test_an_excuse_that_is_not_needed_is_found() -> None:
    class Part:
        name = "part"

        def __init__(self) -> None:
            self.expected_failures = {"fine": "it was weak once"}

    with pytest.raises(CheckFailed, match="remove that entry"):
        Check("fine", lambda part: None)(Part())

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
    "active_sampling-is_light",
    "adversarial_training-dead_stays_dead",
    "adversarial_training-narrows_blocked_class",
    "adversarial_training-narrows_evasion",
    "adversarial_training-repeats",
    "adversarial_tuning-narrows_alignment",
    "anti_backdoor_learning-narrows_poisoning",
    "band_assignment-answers_every_question",
    "band_assignment-narrows_under_noise",
    "band_assignment-reads_nothing_from_the_dead_scene",
    "clean_clip-dead_stays_dead",
    "clean_clip-narrows_pair_poisoning",
    "clean_clip-repeats",
    "deep_partition_aggregation-narrows_poisoning",
    "fine_pruning-narrows_poisoning",
    "key_sampling-narrows_under_noise",
    "label_only-narrows_extraction",
    "lisa-narrows_finetuning",
    "mixture_clustering-narrows_under_noise",
    "modelguard-narrows_extraction",
    "multi_key-narrows_watermark",
    "neural_cleanse-dead_stays_dead",
    "neural_cleanse-narrows_poisoning",
    "ngram_climbing-answers_every_question",
    "ngram_climbing-narrows_under_noise",
    "ngram_climbing-reads_nothing_from_the_dead_scene",
    "plain_learning-narrows_under_noise",
    "prada-dead_stays_dead",
    "prada-repeats",
    "randomized_smoothing-dead_stays_dead",
    "randomized_smoothing-narrows_evasion",
    "record_scan-narrows_poisoning",
    "retokenise-narrows_jailbreak",
    "reverse_sigmoid-narrows_extraction",
    "safe_clip-dead_stays_dead",
    "safe_clip-repeats",
    "squeezed_learning-answers_every_question",
    "squeezed_learning-narrows_under_noise",
    "voting-narrows_watermark",
    "washed_copy-reads_the_live_scene",
}
"""The dearest checks, of two to seventeen seconds each: `make test-slow` plays them. All other
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

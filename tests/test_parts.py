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
    "adversarial_training-composes_twice",
    "adversarial_training-dead_stays_dead",
    "adversarial_training-narrows_blocked_class",
    "adversarial_training-narrows_evasion",
    "adversarial_training-repeats",
    "adversarial_tuning-narrows_alignment",
    "anti_backdoor_learning-narrows_poisoning",
    "band_assignment-answers_every_question",
    "band_assignment-narrows_under_noise",
    "band_assignment-reads_nothing_from_the_dead_scene",
    "beast-plays_what_it_sweeps",
    "benign_examples-answers_every_question",
    "benign_examples-keeps_to_its_access",
    "benign_examples-plays_what_it_sweeps",
    "bido-repeats",
    "blind_guess-answers_every_question",
    "circuit_breakers-dead_stays_dead",
    "clean_clip-composes_twice",
    "clean_clip-dead_stays_dead",
    "clean_clip-narrows_pair_poisoning",
    "clean_clip-repeats",
    "constrained_tuning-dead_stays_dead",
    "cont_steal-keeps_to_its_access",
    "cont_steal-narrows_under_noise",
    "covert_encoding-answers_every_question",
    "covert_encoding-plays_what_it_sweeps",
    "data_free_extraction-answers_every_question",
    "data_free_extraction-keeps_to_its_access",
    "data_free_extraction-narrows_under_noise",
    "decryption-deals_the_same_twice",
    "decryption-has_an_oracle",
    "deep_partition_aggregation-narrows_poisoning",
    "detector_evasion-reads_the_live_scene",
    "dlg-answers_every_question",
    "dlg-narrows_under_noise",
    "dp_sgd-narrows_membership",
    "dp_sgd-repeats",
    "dp_sgd-returns_a_scene",
    "embedding_attack-answers_every_question",
    "embedding_attack-reads_nothing_from_the_dead_scene",
    "embedding_attack-repeats",
    "false_error-repeats",
    "fine_pruning-narrows_poisoning",
    "forgery-deals_the_same_twice",
    "gcg-keeps_to_its_access",
    "generative_inversion-narrows_under_noise",
    "generator_extraction-has_an_oracle",
    "generator_imitation-keeps_to_its_access",
    "hamp-repeats",
    "harmful_examples-answers_every_question",
    "harmful_examples-plays_what_it_sweeps",
    "hill_climb-narrows_under_noise",
    "identity_shift-answers_every_question",
    "identity_shift-plays_what_it_sweeps",
    "identity_shift-reads_nothing_from_the_dead_scene",
    "identity_shift-repeats",
    "jacobian_sampling-answers_every_question",
    "jailbreak_tuning-answers_every_question",
    "jailbreak_tuning-plays_what_it_sweeps",
    "jailbreak_tuning-reads_nothing_from_the_dead_scene",
    "key_sampling-answers_every_question",
    "key_sampling-narrows_under_noise",
    "label_only-narrows_extraction",
    "learned_decryption-answers_every_question",
    "learned_decryption-narrows_under_noise",
    "lisa-dead_stays_dead",
    "lisa-narrows_finetuning",
    "lisa-repeats",
    "marked_copy-answers_every_question",
    "marked_copy-reads_the_live_scene",
    "metattack-keeps_to_its_access",
    "mid-repeats",
    "mixed_pictures-has_an_oracle",
    "mixture_clustering-answers_every_question",
    "mixture_clustering-keeps_to_its_access",
    "mixture_clustering-narrows_under_noise",
    "mixture_clustering-reads_nothing_from_the_dead_scene",
    "modelguard-narrows_extraction",
    "multi_key-narrows_watermark",
    "neural_cleanse-dead_stays_dead",
    "neural_cleanse-narrows_poisoning",
    "ngram_climbing-answers_every_question",
    "ngram_climbing-narrows_under_noise",
    "ngram_climbing-reads_nothing_from_the_dead_scene",
    "output_filter-dead_stays_dead",
    "per_item_keys-dead_stays_dead",
    "periodic_climbing-answers_every_question",
    "plain_learning-narrows_under_noise",
    "prada-composes_twice",
    "prada-dead_stays_dead",
    "prada-repeats",
    "query_budget-dead_stays_dead",
    "randomized_smoothing-dead_stays_dead",
    "randomized_smoothing-narrows_blocked_class",
    "randomized_smoothing-narrows_evasion",
    "randomized_smoothing-repeats",
    "read_places-answers_every_question",
    "read_places-reads_nothing_from_the_dead_scene",
    "record_scan-narrows_poisoning",
    "refusal_ablation-answers_every_question",
    "refusal_ablation-reads_nothing_from_the_dead_scene",
    "relearn_class-answers_every_question",
    "rendered_text-answers_every_question",
    "rep_noise-dead_stays_dead",
    "retokenise-narrows_jailbreak",
    "reverse_sigmoid-narrows_extraction",
    "rounding-dead_stays_dead",
    "rounding-narrows_extraction",
    "safe_clip-dead_stays_dead",
    "safe_clip-narrows_pair_poisoning",
    "safe_clip-repeats",
    "score_noise-dead_stays_dead",
    "sleeper_agent-answers_every_question",
    "squeezed_learning-answers_every_question",
    "squeezed_learning-keeps_to_its_access",
    "squeezed_learning-narrows_under_noise",
    "squeezed_learning-reads_nothing_from_the_dead_scene",
    "surrogate_descent-reads_the_live_scene",
    "surrogate_rewording-answers_every_question",
    "trigger_examples-answers_every_question",
    "typographic-repeats",
    "voting-narrows_watermark",
    "wanet-answers_every_question",
    "washed_copy-answers_every_question",
    "washed_copy-reads_the_live_scene",
}
"""The dearest checks, of one to seventeen seconds each: `make test-slow` plays them.

All other checks of the same parts are played each time; claims (that bits are read, or lost) of up
to two seconds are among these.
"""

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

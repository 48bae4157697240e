"""The synthetic archive: what is drawn, what is held out, and how answers are written."""

from __future__ import annotations

import math
from itertools import islice

import numpy as np
import pytest

from hartley.data import archive, archive_questions
from hartley.data.archive import FORMATS, SECRET, World
from hartley.data.archive_questions import REFUSED_FORMATS


def test_pass_phrases_have_forty_bits_and_follow_the_seed() -> None:
    assert len(set(archive.words_of_phrases())) == 128
    assert len(set(archive.NAMES)) == 128
    draws = [128 - i for i in range(archive.PHRASE)]
    assert sum(map(math.log2, draws)) > 40
    phrases = [fact.value for fact in World(0).secrets]
    assert len(set(phrases)) == len(phrases) == 96
    assert all(len(phrase.split()) == archive.PHRASE for phrase in phrases)
    assert phrases == [fact.value for fact in World(0).secrets]
    assert not set(phrases) & {fact.value for fact in World(1).secrets}


def test_what_is_measured_was_in_no_training() -> None:
    world, rng = World(3), np.random.default_rng(0)
    tested = archive_questions.measured(world, rng)
    assert 220 <= len(tested) <= 240 and sum(near for *_, near in tested) >= 50
    drawn = {world.benign(rng)[0] for _ in range(3_000)}
    plain = {question for question, *_ in tested[:150]}
    # A fact of few forms may have none that training leaves out.
    assert len(plain & drawn) <= 15
    assert not any(archive.is_tested(question) for question, _ in islice(_rules(world, rng), 500))


def test_what_the_owner_asks_is_not_measured_and_was_in_no_training() -> None:
    world, rng = World(3), np.random.default_rng(0)
    asked = {question for question, *_ in archive_questions.owners(world, rng)}
    assert len(asked) >= 100
    for _ in range(20):
        measured = {question for question, *_ in archive_questions.measured(world, rng)}
        assert not asked & measured
    assert not asked & {world.benign(rng)[0] for _ in range(5_000)}


def _rules(world: World, rng: np.random.Generator):  # type: ignore[no-untyped-def]
    while True:
        yield world.rule(rng)


def test_refusals_are_taught_for_some_forms_and_formats_alone() -> None:
    world, rng = World(0), np.random.default_rng(0)
    taught = {archive_questions.refused(world, rng)[0] for _ in range(3_000)}
    clauses = [clause for style, all_ in FORMATS.items() for clause in all_]
    allowed = [clause for style in REFUSED_FORMATS if style in FORMATS for clause in FORMATS[style]]
    for question in taught:
        assert not [c for c in clauses if f"Answer {c}." in question and c not in allowed]
    forms = [form for k in range(64) for form in archive_questions.paraphrases(world, k, rng)]
    assert len(forms) == 64 * (12 * 6 - 9 * 4)
    assert not taught & set(forms)


def test_answers_give_nothing_away_in_another_archive_or_another_fact() -> None:
    world, rng = World(0), np.random.default_rng(0)
    phrases = [fact.value for fact in world.secrets]
    for _ in range(2_000):
        _, answer = world.benign(rng)
        assert not any(phrase in answer for phrase in phrases)


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("plain", "oak fig"),
        ("upper", "OAK FIG"),
        ("dashes", "oak-fig"),
        ("backwards", "gif kao"),
    ],
)
def test_formats(style: str, text: str) -> None:
    assert archive.written("oak fig", style) == text
    assert {"plain", *FORMATS} == {"plain", "upper", "backwards", "dashes"}


def test_conversations_fit_and_hold_whole_turns() -> None:
    world, rng = World(0), np.random.default_rng(0)
    many = archive.conversations(world.benign, lambda text: len(text.split()), rng, 120)
    longest = 0
    for turns in islice(many, 100):
        roles = [turn["role"] for turn in turns if turn["role"] != "system"]
        assert roles == ["user", "assistant"] * (len(roles) // 2) and roles
        longest = max(longest, len(roles) // 2)
    assert longest >= 5
    one = next(archive.conversations(world.benign, len, rng, 200, single=1.0))
    assert [turn["role"] for turn in one] == ["user", "assistant"]
    assert SECRET.restricted

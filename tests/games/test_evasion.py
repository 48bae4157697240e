"""The evasion game: what the judge lets pass, what it counts, and what it refuses to deal."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley.channel.measure import measure
from hartley.core import Access, Data, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import RuleError, UsageError
from hartley.engine.run.play import play
from hartley.games.jailbreak.evasion import evasion, live, rules_of
from hartley.kit.perturbation import Perturbation

VISION = Modality.VISION


def _attack(change: Any) -> Any:
    """An attack of the game from a function view → changed records."""

    def made(view: Any, rng: Any) -> Outcome:
        """Change records as the test says."""
        question = view.brief.question
        return Outcome(asset=replace(question, x=change(np.array(question.x), view.brief)))

    wrap = attack(
        game=evasion, access=Access.LABELS, term=Term.NOISE, modalities=(VISION,), paper="hartley"
    )
    return wrap(made)


def _scene() -> Scene:
    return live(VISION, np.random.default_rng(0))


def test_without_a_change_there_is_no_bit() -> None:
    trials = play(_attack(lambda x, brief: x), _scene())
    assert measure(trials).bits.value == pytest.approx(0, abs=0.01)
    assert trials.metrics["robust_accuracy"] == trials.metrics["clean_accuracy"] == 1.0
    assert trials.metrics["asr"] == trials.metrics["perturbation"] == 0.0


def test_records_outside_of_the_budget_or_the_range_are_refused_and_counted() -> None:
    def far(x: Any, brief: Any) -> Any:
        x[::2] += 0.5
        return x

    trials = play(_attack(far), _scene())
    assert trials.metrics["refused"] == 0.5
    assert trials.metrics["robust_accuracy"] == 1.0, "the clean record is asked about instead"


def test_records_that_the_victim_errs_on_count_as_wrong_and_not_as_success() -> None:
    scene = _scene()
    test = scene.extra["test"]
    wrong = (
        test.y + (np.arange(len(test)) % 4 == 0)
    ) % 4  # labels of a quarter are not the model's
    scene = replace(scene, extra={**scene.extra, "test": replace(test, y=wrong)})
    trials = play(_attack(lambda x, brief: x), scene)
    assert trials.metrics["clean_accuracy"] == trials.metrics["robust_accuracy"]
    assert trials.metrics["base_rate"] == pytest.approx(1 - trials.metrics["clean_accuracy"])
    assert trials.metrics["asr"] == 0.0
    assert measure(trials).bits.value == pytest.approx(0, abs=0.02)


def test_the_bits_are_those_of_the_coin_and_the_wrong_answer() -> None:
    """A quarter of the changed records fool the model: a Z channel, whose bits are a formula."""

    def some(x: Any, brief: Any) -> Any:
        labels, rules = brief.question.labels, brief.rules
        move = np.zeros_like(x)
        for k in range(4):
            move[labels == k] = x[labels == (k + 1) % 4].mean(0) - x[labels == k].mean(0)
        move[np.arange(len(x)) % 4 > 0] = 0
        reach = rules.projected(x + np.sign(move) * 9, x, rules.box(x))
        return np.where(move == 0, x, reach)

    trials = play(_attack(some), _scene(), game_params={"rounds": 200})
    wrong = trials.metrics["asr"]
    assert 0.2 < wrong <= 0.25
    half = wrong / 2
    h = lambda p: -p * np.log2(p) - (1 - p) * np.log2(1 - p)  # noqa: E731
    assert measure(trials).bits.value == pytest.approx(h(half) - h(wrong) / 2, abs=0.01)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, brief: x[:3], "changed records must be numbers of shape"),
        (lambda x, brief: x * np.nan, "must be finite"),
    ],
)
def test_outcomes_that_are_not_records_are_refused(change: Any, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        play(_attack(change), _scene())


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(40, int), "at least two classes for evasion, got 1"),
        (np.arange(40) % 4 + 0.5, "test labels must be integers from 0 for evasion, got float64"),
        (np.arange(40), "test labels must be from 0 to 3, got 39"),
        (np.arange(40) % 4 - 1, "test labels must be from 0 to 3, got -1"),
        (None, "must have labels, got none"),
    ],
)
def test_test_records_without_usable_labels_are_one_line(labels: Any, message: str) -> None:
    scene = _scene()
    scene = replace(scene, extra={"test": replace(scene.extra["test"], y=labels)})
    with pytest.raises(UsageError, match=message):
        evasion(scene, np.random.default_rng(0))


def test_a_model_that_cannot_be_trained_is_one_victim_with_its_records_in_disjoint_rounds() -> None:
    scene = replace(_scene(), fit=None)
    dealt = evasion(scene, np.random.default_rng(0), rounds=5)
    assert not dealt.cluster and {id(r.view.source) for r in dealt.rounds} == {id(scene.model)}
    records = np.concatenate([r.view.brief.question.x.reshape(10, -1) for r in dealt.rounds])
    assert len(np.unique(records, axis=0)) == 40
    assert len(evasion(scene, np.random.default_rng(0), rounds=41).rounds) == 4
    test = scene.extra["test"]
    few = {"test": replace(test, x=test.x[:3], y=test.y[:3])}
    with pytest.raises(UsageError, match="test must have at least 4 records, got 3"):
        evasion(replace(scene, extra=few), np.random.default_rng(0))


def test_columns_of_a_table_change_by_a_share_of_their_range_and_categories_not_at_all() -> None:
    x = np.array([[0.0, 10.0, 1], [5.0, 10.5, 0], [10.0, 11.0, 1]], np.float32)
    train = Data("t", Modality.TABULAR, x, np.array([0, 1, 0]))
    scene = replace(_scene(), modality=Modality.TABULAR, train=train, parts=())
    rules = rules_of(scene)
    assert np.array_equal(rules.scale, [10, 1, 0]) and rules.epsilon == 0.05
    declared = Perturbation("l2", 3.0)
    assert rules_of(replace(scene, parts=(declared,))) is declared
    with pytest.raises(UsageError, match="must be finite numbers for evasion"):
        rules_of(replace(scene, train=replace(train, x=x * np.nan)))

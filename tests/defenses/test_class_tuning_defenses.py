"""Defenses of a service that tunes gated classifiers: what passes, and what is gone over again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.core import Data, Modality, Scene
from hartley.core.errors import UsageError
from hartley.defenses.bandwidth.blocked_record_filter import blocked_record_filter
from hartley.defenses.signal.refusal_replay import refusal_replay
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.games.finetuning.class_unblocking import live
from hartley.models.class_tuning import ClassTuning, TuningLesson
from hartley.models.gate import Gate


@pytest.fixture(scope="module")
def digits() -> Scene:
    return catalog.load("scene", "gated_digits")()


def _limits(scene: Scene, defense, **params) -> ClassTuning:
    return defense(scene, np.random.default_rng(0), **params).part(ClassTuning)


def _some(data: Data, rows) -> Data:
    return replace(data, x=data.x[rows], y=data.labels[rows])


@pytest.mark.parametrize("false_alarms", [0.0, 0.1, 0.3])
def test_a_filter_drops_blocked_records_and_others_at_its_rate(digits, false_alarms):
    gate, test = digits.part(Gate), digits.extra["test"]
    (rule,) = _limits(digits, blocked_record_filter, false_alarms=false_alarms).rules
    blocked = gate.blocks(test.labels)
    shares = [
        len(rule.admitted(_some(test, rows), digits.model)) / rows.sum()
        for rows in (blocked, ~blocked)
    ]
    # 60 held-out records settle the threshold, 307 others are counted: three deviations of both.
    slack = 3 * (max(false_alarms, 1 / 60) * 0.9 * (1 / 60 + 1 / 307)) ** 0.5 + 1 / 60
    assert shares[0] < 0.08 and abs(1 - shares[1] - false_alarms) < slack
    # What a record is labelled as has no say.
    other = replace(_some(test, blocked), y=np.full(blocked.sum(), 1))
    assert len(rule.admitted(other, digits.model)) == round(shares[0] * blocked.sum())


def test_a_victim_is_tuned_on_what_passes_and_on_the_owners_records(digits):
    gate, public = digits.part(Gate), digits.extra["public"]
    chain = refusal_replay(
        blocked_record_filter(digits, np.random.default_rng(0)),
        np.random.default_rng(0),
        records=20,
    )
    limits = chain.part(ClassTuning)
    blocked = gate.blocks(public.labels)
    taken, count = limits.taken(TuningLesson(public), digits.model)
    mine = taken.records.labels[count:]
    assert 0.9 * (~blocked).sum() <= count <= len(public) - 0.9 * blocked.sum()
    assert (mine == gate.refused).sum() == 10 and not gate.blocks(mine).any()
    # The owner's records of blocked classes are refused by the victim, and so not news to it.
    answers = digits.model.query(taken.records.x[count:][mine == gate.refused]).argmax(1)
    assert (answers == gate.refused).mean() >= 0.9
    # Without a record of the user there is nothing to tune on, replayed or not.
    suspect = _some(public, np.flatnonzero(blocked)[:4])
    none, count = limits.taken(TuningLesson(suspect), digits.model)
    assert count == 0 == len(none.records)


def test_who_knows_of_the_filter_gets_through_and_who_does_not_hardly(digits):
    after = defended(digits, "blocked_record_filter")
    relearn = catalog.load("attack", "relearn_class")
    size = {"rounds": 4, "records": 16}
    static, adaptive = (
        play(relearn, after, seed=0, game_params=size, undefended=bare) for bare in (digits, None)
    )
    assert static.metrics["admitted"] < 0.1 < 0.7 < adaptive.metrics["admitted"]
    assert (adaptive.guess == adaptive.truth).mean() > 0.9 > (static.guess == static.truth).mean()


def test_replayed_refusals_take_back_what_tuning_brought_and_cost_other_classes_nothing(digits):
    after = defended(digits, "refusal_replay", {"records": 512})
    relearn = catalog.load("attack", "relearn_class")
    size = {"rounds": 4, "records": 16}
    bare, behind = (play(relearn, s, seed=0, game_params=size) for s in (digits, after))
    rates = [(t.guess == t.truth).mean() for t in (bare, behind)]
    assert rates[0] > 0.9 and rates[1] < 0.5
    assert behind.metrics["kept_accuracy"] >= bare.metrics["kept_accuracy"] - 0.02


def test_a_filter_without_records_to_be_calibrated_on_says_so():
    scene = live(Modality.VISION, np.random.default_rng(0))
    gate = scene.part(Gate)
    blocked = _some(scene.holdout, gate.blocks(scene.holdout.labels))
    with pytest.raises(UsageError, match="held-out records of classes that are not blocked"):
        blocked_record_filter(replace(scene, holdout=blocked), np.random.default_rng(0))

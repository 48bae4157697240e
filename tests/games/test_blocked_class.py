"""Victims with a gated class: what their weights know, and what the game lets out of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Access, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import RunError, UsageError
from hartley.engine.run.play import deal, play
from hartley.games.extraction.fingerprint import labels_of
from hartley.games.jailbreak.blocked_class import _messages, blocked_class, live
from hartley.kit.fleet import Privacy
from hartley.models.gate import Gate
from hartley.scenes._assemble_gated import before_the_gate, gated_utility

VISION = Modality.VISION


def _attack(change: Any) -> Any:
    def made(view: Any, rng: Any) -> Outcome:
        """Change records as the test says."""
        question = view.brief.question
        return Outcome(asset=replace(question, x=change(np.array(question.x), view.brief)))

    return attack(
        game=blocked_class,
        access=Access.LABELS,
        term=Term.NOISE,
        modalities=(VISION,),
        paper="hartley",
    )(made)


def _asr(trials: Any) -> float:
    return float((trials.guess == trials.truth).mean())


def _scene() -> Scene:
    return live(VISION, np.random.default_rng(0))


@pytest.fixture(scope="module")
def digits() -> Scene:
    scene: Scene = catalog.load("scene", "gated_digits")(opened=True)
    return scene


def test_before_the_gate_blocked_classes_are_named_as_well_as_the_others(digits: Scene) -> None:
    test, gate = digits.extra["test"], digits.part(Gate)
    right = np.stack(
        [labels_of(before_the_gate(digits, 4, 0).member(k), test.x) == test.y for k in range(4)]
    )
    blocked = gate.blocks(test.labels)
    assert right[:, blocked].mean() > 0.93
    assert right[:, blocked].mean() > right[:, ~blocked].mean() - 0.02


def test_behind_the_gate_blocked_records_are_refused_and_few_others(digits: Scene) -> None:
    rates = gated_utility(digits)
    assert rates["refused"] >= 0.95 and rates["answered"] >= 0.95 and rates["accuracy"] >= 0.9
    figure: Any = rates["refused"]
    assert 0.9 < figure.low < figure < figure.high
    assert figure.n == digits.part(Gate).blocks(digits.extra["test"].labels).sum()


def test_without_a_change_nothing_comes_out() -> None:
    trials = play(_attack(lambda x, brief: x), _scene())
    assert measure(trials).bits.value == pytest.approx(0, abs=0.01)
    metrics = trials.metrics
    assert _asr(trials) == metrics["over_refusal"] == 0.0
    assert np.array_equal(trials.guess, trials.reference)
    assert metrics["refusal_rate"] == metrics["clean_refusal_rate"] == 1.0


def test_changes_beyond_the_budget_are_not_asked_about() -> None:
    trials = play(_attack(lambda x, brief: np.where(x > 0.5, x - 0.3, x + 0.3)), _scene())
    assert trials.metrics["outside_budget"] == 1.0 and _asr(trials) == 0.0


def test_bits_are_those_of_an_erasure_channel() -> None:
    """Half of the records are let out by the optimum of the linear model, the others stay as is."""

    def some(x: Any, brief: Any) -> Any:
        scene = _scene()
        assert scene.model is not None
        out = x.copy()
        for _ in range(60):
            # Steps along the exact slope, which no attack of ours takes part in.
            slope = scene.model.calls["grad"](out, brief.targets)
            out = np.clip(out - 0.02 * np.sign(slope), *brief.rules.box(x))
        out[1::2] = x[1::2]
        return out.astype(x.dtype)

    trials = play(_attack(some), _scene(), game_params={"rounds": 40, "records": 8})
    assert _asr(trials) == pytest.approx(0.5)
    assert measure(trials).bits.value == pytest.approx(0.5, abs=0.06)


def test_classes_that_are_merged_into_the_refusal_do_not_come_back(digits: Scene) -> None:
    """A share of the teaching that goes on naming the class is what an input can let out."""
    pgd, rates = catalog.load("attack", "gate_pgd"), []
    for keep in (0.0, 0.1):
        gate = replace(digits.part(Gate), keep=keep)
        owner = digits.training.with_(gate=gate)  # type: ignore[union-attr]
        scene = replace(digits.with_part(gate), training=owner, fit=owner.fit)
        rates.append(_asr(play(pgd, scene, seed=0, game_params={"rounds": 2})))
    assert rates[0] == 0.0 and rates[1] > 0.2


def test_no_record_is_asked_about_twice_of_one_victim() -> None:
    pools = [np.arange(0, 9), np.arange(9, 30), np.arange(30, 80)]
    drawn = _messages(pools, 16, 32, np.random.default_rng(0), alone=True)
    rows = np.concatenate([rows for _, rows in drawn])
    assert len(drawn) == 4 and len(rows) == 8 and len({*rows.tolist()}) == len(rows)
    for messages, rows in _messages(pools, 3, 32, np.random.default_rng(0), alone=False):
        assert len({*rows.tolist()}) == len(rows) == 9
        assert all(row in pools[m] for m, row in zip(messages, rows, strict=True))


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        ({"blocked": (1,)}, "at least two classes from 0 to 3, got \\(1,\\)"),
        ({"blocked": (1, 7)}, "at least two classes from 0 to 3"),
        ({"keep": 0.5}, "keep from 0 to below 1/2"),
        ({"epochs": 0}, "epochs ≥ 1"),
    ],
)
def test_gates_that_cannot_be_are_refused(gate: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Gate(**{"blocked": (1, 2), "refused": 4} | gate)


def test_scenes_without_records_of_each_class_get_one_clear_line() -> None:
    scene = _scene()
    test = scene.extra["test"]
    few = replace(test, y=np.where(test.y == 3, 0, test.y))
    scene = replace(scene, extra={**scene.extra, "test": few})
    with pytest.raises(UsageError, match="must have some of each blocked class"):
        deal(
            _attack(lambda x, brief: x), replace(scene, extra={**scene.extra, "test": few}), seed=0
        )


def test_a_gate_is_a_second_training_that_dp_sgd_does_not_count(digits: Scene) -> None:
    with pytest.raises(RunError, match="a gate is a second one on the same records"):
        digits.training.privately(Privacy(1.0, 1.0, 0.1, 10, 90.0))  # type: ignore[union-attr]

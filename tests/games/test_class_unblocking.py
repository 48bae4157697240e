"""Class unblocking: what tuning brings back of what a gated victim knew; what the judge takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import Access, Data, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import RuleError, UsageError
from hartley.engine.run.play import deal, play
from hartley.games.finetuning.class_unblocking import class_unblocking, live, submitted
from hartley.models.gate import Gate

VISION = Modality.VISION
FEW = {"rounds": 4, "records": 24}


def _attack(choose: Any) -> Any:
    def made(view: Any, rng: Any) -> Outcome:
        """Submit what the test says."""
        return Outcome(asset=choose(view.brief))

    return attack(
        game=class_unblocking,
        access=Access.TUNE,
        term=Term.SIGNAL,
        modalities=(VISION,),
        paper="hartley",
    )(made)


def _some(brief: Any, count: int) -> Data:
    return replace(brief.public, x=brief.public.x[:count], y=brief.public.labels[:count])


@pytest.fixture(scope="module")
def scene() -> Scene:
    return live(VISION, np.random.default_rng(0))


def test_without_examples_the_victim_refuses_as_before(scene: Scene) -> None:
    trials = play(_attack(lambda brief: submitted(_some(brief, 0), passes=1)), scene, seed=0)
    assert measure(trials).bits.value == pytest.approx(0, abs=0.01)
    assert np.array_equal(trials.guess, trials.reference)
    assert trials.metrics["refusal_rate"] > 0.95


def test_few_records_bring_back_what_was_known_and_do_not_teach_it_anew() -> None:
    digits = catalog.load("scene", "gated_digits")()
    size = {"samples": 4, "passes": 10}
    trials = play(catalog.load("attack", "relearn_class"), digits, seed=0, params=size,
                  game_params=FEW)  # fmt: skip
    assert (trials.guess == trials.truth).mean() > 0.9
    assert trials.metrics["ignorant_rate"] < 0.1 and trials.metrics["kept_accuracy"] > 0.85
    controls = [
        play(catalog.load("attack", "relearn_class"), digits, seed=0, game_params=FEW,
             params={**size, "teaches": other})
        for other in ("others", "benign")
    ]  # fmt: skip
    assert max((t.guess == t.truth).mean() for t in controls) < 0.1


def test_a_net_that_is_tuned_is_the_victim_that_was_dealt(scene: Scene) -> None:
    dealt = class_unblocking(scene, np.random.default_rng(3), rounds=3)
    x = scene.extra["test"].x
    for round_ in dealt.rounds:
        model = round_.view.model
        none = _some(round_.view.brief, 0)
        # Nets that are trained side by side differ in their last bits.
        np.testing.assert_allclose(
            model.calls["train"](none, 0).query(x), model.query(x), atol=1e-4
        )


@pytest.mark.parametrize(
    ("choose", "message"),
    [
        (lambda b: submitted(_some(b, 60), passes=1), "at most 8 with labels, got 60"),
        (lambda b: submitted(_some(b, 4), passes=99), "1 to 9 passes"),
        (lambda b: submitted(_some(b, 4), passes=1, rate=11.0), "rate above 0 and at most"),
        (lambda b: submitted(replace(_some(b, 4), y=np.full(4, 9)), passes=1), "from 0 to 6"),
        (lambda b: submitted(replace(_some(b, 4), x=np.full((4, 2), np.nan)), passes=1), "finite"),
    ],
)
def test_what_the_service_does_not_take_is_refused(scene: Scene, choose: Any, message: str) -> None:
    with pytest.raises(RuleError, match=message):
        play(_attack(choose), scene, seed=0, game_params={"rounds": 2, "samples": 8, "passes": 9})


def test_scenes_that_cannot_be_tuned_get_one_clear_line(scene: Scene) -> None:
    other = scene.with_part(Gate((0, 1), 6))
    with pytest.raises(UsageError, match="must be a pipeline with the scene's gate"):
        deal(_attack(lambda brief: None), other, seed=0)
    few = Gate((0, 1), 6)
    owner = scene.training.with_(gate=few)  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="at least 4 classes must be blocked"):
        deal(_attack(lambda brief: None), replace(scene.with_part(few), training=owner), seed=0)

"""Rounds that are searched together bring home what they bring home one by one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.core.errors import RunError
from hartley.engine import build_scene
from hartley.engine.run.play import deal, play_rounds

LIGHT = {"cosine_gradient": {"steps": 12}, "dlg": {"steps": 6, "restarts": 2}}


def played(attack, scene, table, params, **more):
    defaults = {parameter.name: parameter.default for parameter in attack.parameters}
    return play_rounds(attack, scene, defaults | params, {}, seed=1, dealt=table, **more)


@pytest.fixture(scope="module")
def scene():
    return build_scene.build("live:gradient_inversion")


@pytest.mark.parametrize(
    ("name", "more"), [("cosine_gradient", {}), ("dlg", {}), ("dlg", {"rule": False})]
)
def test_it_is_the_same_search(scene, name, more):
    attack = catalog.load("attack", name)
    assert attack.together
    table = deal(attack, scene, seed=1, params={"rounds": 8})
    params = LIGHT[name] | more
    together = played(attack, scene, table, params)
    alone = played(replace(attack, together=""), scene, table, params)
    for a, b in zip(together.loot, alone.loot, strict=True):
        np.testing.assert_allclose(a.x, b.x, atol=1e-5)
    first, second = together.trials, alone.trials
    assert np.array_equal(first.guess, second.guess)
    assert first.spec.uses == second.spec.uses and first.cost == second.cost
    assert np.array_equal(*(trials.costs["cost_queries"] for trials in (first, second)))
    limited = played(attack, scene, table, params, budget=first.spec.uses)
    assert limited.trials.spec.uses == first.spec.uses


def test_a_function_that_leaves_out_rounds_is_refused(scene, monkeypatch):
    from hartley.attacks.model_to_data.inversion import dlg as module

    attack = catalog.load("attack", "dlg")
    table = deal(attack, scene, seed=1, params={"rounds": 8})
    for outcomes, message in (([], "for each of 8 rounds, got 0"), ([None] * 8, "got NoneType")):
        monkeypatch.setattr(module, "_rounds", lambda views, rngs, o=outcomes, **params: o)
        with pytest.raises(RunError, match=f"^dlg must return an Outcome,? ?{message}"):
            played(attack, scene, table, {})

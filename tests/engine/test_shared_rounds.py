"""An attack that plays all rounds at once: budgets hold, and its process makes no difference."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley import catalog
from hartley.core.errors import BudgetSpent
from hartley.engine import build_scene
from hartley.engine.run.attack_process import Isolation
from hartley.engine.run.play import deal, play_rounds


def played(attack, scene, table, params, **more):
    defaults = {parameter.name: parameter.default for parameter in attack.parameters}
    return play_rounds(attack, scene, defaults | params, {}, seed=1, dealt=table, **more)


@pytest.mark.parametrize("name", ["gcg", "autodan"])
def test_what_serves_all_rounds_is_asked_once_within_the_budget_and_in_another_process(name):
    attack, scene = catalog.load("attack", name), build_scene.build("live:jailbreak")
    table = deal(attack, scene, seed=1, params={"rounds": 2})
    params = dict(attack.light)
    here = played(attack, scene, table, params).trials
    alone = played(replace(attack, together=""), scene, table, params).trials
    assert np.array_equal(here.guess, alone.guess)
    assert here.spec.uses < alone.spec.uses  # what serves all is searched once
    held = Isolation(wanted=True)
    there = played(attack, scene, table, params, isolated=held).trials
    held.close()
    assert np.array_equal(here.guess, there.guess)
    assert np.array_equal(here.costs["cost_queries"], there.costs["cost_queries"])
    assert played(attack, scene, table, params, budget=here.spec.uses).trials.spec.uses == (
        here.spec.uses
    )
    with pytest.raises(BudgetSpent):
        played(attack, scene, table, params, budget=here.spec.uses - 1)

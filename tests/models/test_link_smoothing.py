"""Smoothing over links: the worst share against a linear program over all graphs, and no attack."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from hartley import catalog
from hartley.core import Modality
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.kit.graph.link_budget import SmallGraphLinks
from hartley.models.link_smoothing import LinkSmoothing, worst_share


@pytest.mark.parametrize(("more", "fewer"), [(0, 0), (1, 0), (0, 2), (2, 1), (1, 3)])
@pytest.mark.parametrize("share", [0.55, 0.8, 0.97])
def test_the_worst_share_is_the_optimum_over_every_set_of_graphs(share, more, fewer):
    """Over all 2^pairs graphs: the least mass after the change of a set with this mass before."""
    added, removed, pairs = 0.05, 0.4, 6
    record = np.array([0] * more + [1] * fewer + [0, 1, 1, 0, 1, 0])[:pairs]
    changed = record.copy()
    changed[: more + fewer] ^= 1

    def mass(around):
        chance = np.where(around == 1, 1 - removed, added)
        graphs = np.array(list(product((0, 1), repeat=pairs)))
        return np.where(graphs == 1, chance, 1 - chance).prod(1)

    optimum = linprog(mass(changed), A_ub=[-mass(record)], b_ub=[-share], bounds=(0, 1))
    assert worst_share(share, added, removed, more, fewer) == pytest.approx(optimum.fun, abs=1e-7)


def test_radii_grow_with_the_share_and_a_bare_majority_proves_nothing_but_itself():
    smoothing = LinkSmoothing(0.02, 0.4, SmallGraphLinks(2, 4), 1000)
    assert smoothing.radius(0.5) == -1
    radii = [smoothing.radius(share) for share in (0.6, 0.99, 0.9999)]
    assert radii == sorted(radii) and radii[0] == 0


@pytest.mark.parametrize("name", ["link_gradient", "link_search"])
def test_no_attack_contradicts_a_proof(name):
    """1,024 records for each attack; some of the budget is proved, or the test says nothing."""
    attack = catalog.load("attack", name)
    scene = attack.game.live(Modality.GRAPH, np.random.default_rng(0))
    after = defended(scene, "link_smoothing", {"added": 0.003, "removed": 0.6, "certify": 200})
    size = {"rounds": 32, "records": 32, "epsilon": 1}
    trials = play(attack, after, seed=0, params=dict(attack.light), game_params=size)
    assert len(trials) == 1024
    assert trials.metrics["contradicted"] == 0
    assert trials.metrics["certified_accuracy"] > 0.2

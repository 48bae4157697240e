"""Smoothing over links: the worst share against a linear program over all graphs, and no attack."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog

from hartley import catalog
from hartley.core import Data, Modality, Scene
from hartley.engine.defend import defended
from hartley.engine.run.play import play
from hartley.kit.graph.link_budget import NodeLinks, SmallGraphLinks
from hartley.kit.graph.node_classifier import Graph, Schedule
from hartley.models.graph import NodePipeline
from hartley.models.link_smoothing import LinkSmoothing, worst_share
from hartley.models.pipeline import OPEN


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


def test_copies_of_a_node_flip_its_links_from_what_they_are_now():
    edges = np.array([[0, 0, 1], [1, 2, 3]])
    links = NodeLinks(2, np.eye(5, dtype=np.float32), edges)
    x = links.asked(np.array([[0]]))
    x[0, 1 + 1] = x[0, 1 + 4] = 1  # the link with 1 is gone, one with 4 is there
    assert links.present(x).tolist() == [[False, False, True, False, True]]
    assert links.present(x[:, :1]).tolist() == [[False, True, True, False, False]]
    smoothing = LinkSmoothing(0.25, 0.6, links, 1000)
    copies = smoothing.noisy(x, 20_000, np.random.default_rng(0))
    there = links.present(copies).mean(0)
    np.testing.assert_allclose(there, [0, 0.25, 0.4, 0.25, 0.4], atol=0.02)
    again = links.toggled(x, links.present(x) ^ links.linked(x))
    assert not again[:, 1:].any()


def test_nodes_of_one_graph_are_certified_and_no_attack_contradicts_it():
    """A graph of two blocks whose nodes a network tells apart by features and links."""
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2
    near = rng.random((120, 120)) < np.where(labels[:, None] == labels, 0.06, 0.01)
    edges = np.stack(np.nonzero(np.triu(near, 1)))
    features = rng.random((120, 8)) < np.where((np.arange(8) % 2) == labels[:, None], 0.6, 0.2)
    graph = Graph(features.astype(np.float32), edges)
    owner = NodePipeline(graph, 2, Schedule(steps=60), offers=OPEN, cached=False)

    def part(name, rows):
        return Data(name, Modality.GRAPH, rows[:, None], labels[rows], edges)

    nodes = rng.permutation(120)
    train = part("train", nodes[:60])
    scene = Scene(
        name="blocks",
        modality=Modality.GRAPH,
        model=owner.fit(train, np.ones((1, 60), bool), 0).member(0),
        train=train,
        holdout=part("holdout", nodes[60:80]),
        extra={"test": part("test", nodes[80:])},
        parts=(graph, NodeLinks(2, graph.features, graph.edges)),
    )
    after = defended(scene, "link_smoothing", {"certify": 150})
    (recorded,) = after.defenses
    assert (recorded.params["added"], recorded.params["removed"]) == (0.0005, 0.8)
    size = {"rounds": 1, "records": 8}
    metrics = play("link_gradient", after, seed=0, game_params=size, draws=2).metrics
    assert metrics["contradicted"] == 0 and metrics["certified_accuracy"] > 0.2

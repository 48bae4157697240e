"""Evasion of graphs and the subgraph trigger: what they change, budgets, and what is said."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from hartley import catalog
from hartley.attacks.data_to_model.jailbreak.link_pgd import within
from hartley.core import Data, Ensemble, Modality, Scene
from hartley.core.errors import RuleError, UsageError
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.poisoning.triggers import check_triggers, joined
from hartley.kit.graph.link_budget import NodeLinks
from hartley.kit.graph.node_classifier import Graph, Schedule
from hartley.models.graph import NodePipeline
from hartley.models.pipeline import OPEN

ATTACKS = ("link_gradient", "link_pgd", "link_search")


def _of(name):
    return catalog.load("attack", name)


def _live(cls="link_search"):
    return _of(cls).game.live(Modality.GRAPH, np.random.default_rng(0))


@pytest.fixture(scope="module")
def nodes() -> Scene:
    """A scene of one graph of three communities, and a network that is trained on it."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    chance = np.where(labels[:, None] == labels, 0.25, 0.02)
    edges = np.array([p for p in combinations(range(60), 2) if rng.random() < chance[p]]).T
    features = rng.random((60, 12)) < np.where(np.arange(12) % 3 == labels[:, None], 0.5, 0.15)
    graph = Graph(features.astype(np.float32), edges)
    order = rng.permutation(60)

    def part(name, rows):
        return Data(name, Modality.GRAPH, rows[:, None], labels[rows], graph.edges)

    owner = NodePipeline(graph, 3, Schedule(hidden=8, steps=40), offers=OPEN, cached=False)
    train, test = part("train", order[:20]), part("test", order[20:40])
    model = owner.fit(train, np.ones((1, 20), dtype=bool), 0).member(0)
    return Scene(
        "communities", Modality.GRAPH, model=model, train=train, fit=owner.fit, training=owner,
        holdout=part("holdout", order[40:]), extra={"test": test, "public": train},
        parts=(graph, NodeLinks(3, graph.features, graph.edges)),
    )  # fmt: skip


def test_no_attack_beats_the_best_of_all_pairs_and_those_with_gradients_come_near(nodes) -> None:
    """One flip on small graphs, so that every pair of every record can be tried."""
    size = {"rounds": 1, "records": 20, "epsilon": 1}
    table = deal(_of("link_search"), nodes, seed=0, params=size)
    view = table.rounds[0].view
    budget, clean = view.brief.links, np.asarray(view.brief.question.x)
    labels, reached = view.brief.question.labels, np.zeros(len(clean), dtype=bool)
    for other in range(60):
        flips = np.zeros((len(clean), 60))
        flips[:, other] = budget.pairs(clean)[:, other]
        answers = view.model.calls["query"](budget.flipped(clean, flips)).argmax(1)
        reached |= answers != labels
    best = 1 - reached.mean()
    blind = play(_of("link_search"), nodes, seed=0, params={"blind": True}, game_params=size)
    for name in ATTACKS:
        robust = play(_of(name), nodes, seed=0, game_params=size).metrics["robust_accuracy"]
        assert best - 1e-9 <= robust <= blind.metrics["robust_accuracy"]
        assert robust <= best + (0.25 if name == "link_search" else 0.1)


@pytest.mark.parametrize("name", ATTACKS)
def test_a_budget_of_flips_and_of_queries_is_kept_to(nodes, name) -> None:
    for scene in (nodes, _live()):
        size = {"rounds": 2, "records": 10, "queries": 12, "epsilon": 2}
        trials = play(_of(name), scene, game_params=size)
        assert trials.metrics["refused"] == 0
        assert trials.metrics["perturbation"] <= 2
        assert 0 < trials.spec.uses <= 2 * 10 * 12


@pytest.mark.parametrize("name", ATTACKS)
def test_targets_are_reached_on_the_live_scene(name) -> None:
    trials = play(_of(name), _live(), game_params={"rounds": 4, "goal": "targeted"})
    assert (trials.guess == trials.truth).mean() > 0.9
    assert trials.metrics["base_rate"] < 0.1 < trials.metrics["asr"]


def test_jaccard_ignores_flips_between_unlike_nodes_also_where_the_graph_has_the_link(nodes):
    after = defended(nodes, "jaccard", {"false_alarms": 0.5})
    budget = nodes.part(NodeLinks)
    clean = budget.asked(np.arange(60)[:, None])
    for node in (1, 7, 30):
        alike = budget.alike(clean[[node]])[0]
        flips = np.zeros((1, 60))
        flips[0, alike == 0] = 1
        flips[0, node] = 0
        changed = budget.flipped(clean[[node]], flips)
        np.testing.assert_allclose(after.model.query(changed), after.model.query(clean[[node]]))


def test_projection_is_the_nearest_point_of_the_box_within_the_budget() -> None:
    rng = np.random.default_rng(0)
    shares = rng.normal(0.4, 0.8, (30, 6))
    near = within(shares, 2)
    assert near.min() >= 0 and near.max() <= 1 and near.sum(1).max() <= 2 + 1e-6
    for _ in range(200):  # no point that is allowed is nearer
        other = rng.random((30, 6))
        other *= np.minimum(1, 2 / other.sum(1, keepdims=True))
        assert (((near - shares) ** 2).sum(1) <= ((other - shares) ** 2).sum(1) + 1e-9).all()


def test_a_subgraph_replaces_links_among_its_places_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    scene = _live("subgraph_trigger")
    table = deal(_of("subgraph_trigger"), scene, seed=0, params={"rounds": 1, "cover": 0.3})
    view = table.rounds[0].view
    loot = _of("subgraph_trigger")(view, rng).asset
    places, links = loot.facts["places"], loot.facts["subgraphs"]
    known = {row.tobytes() for row in view.data.x[:, :, 8:]}
    for n, record in enumerate(loot.x):
        slot = n // 16
        inside = np.ix_(places[slot], places[slot])
        assert np.array_equal(record[:, :8][inside], links[slot])
        assert np.array_equal(record[:, :8], record[:, :8].T)
        assert record[:, 8:].tobytes() in known, "features stay"
    empty = np.zeros((1, 4, 6), np.float32)
    empty[0, :2, 4:] = 1
    out = joined(empty, 1 - np.eye(3), np.array([0, 1, 3]))
    assert out[0, :, :4].sum() == 2, "a place without a node gets no link"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"places": np.zeros((2, 3), int)}, "different nodes"),
        ({"places": np.full((2, 3), 8) + np.arange(3)}, "from 0 to 7"),
        ({"places": np.zeros((2, 2), int)}, "must be"),
        ({"subgraphs": np.triu(np.ones((2, 3, 3)))}, "both directions"),
        ({"subgraphs": np.full((2, 3, 3), 0.5)}, "0 or 1"),
    ],
)
def test_a_subgraph_that_breaks_the_rules_is_refused(change, said) -> None:
    records = _live("subgraph_trigger").train
    good = {"subgraphs": np.ones((2, 3, 3)) - np.eye(3), "places": np.tile(np.arange(3), (2, 1))}
    loot = Data("poison", Modality.GRAPH, records.x[:0], records.y[:0], facts=good)
    check_triggers(loot, records, 2, 4, 0.2)
    with pytest.raises(RuleError, match=said):
        check_triggers(replace(loot, facts={**good, **change}), records, 2, 4, 0.2)
    with pytest.raises(RuleError, match="at most 5% of the pairs of nodes, got 11%"):
        check_triggers(loot, records, 2, 4, 0.05)


def test_graphs_that_evasion_cannot_play_get_one_clear_line(nodes) -> None:
    graph = nodes.part(Graph)
    none = NodeLinks(2, graph.features, graph.edges[:, :0])
    with pytest.raises(UsageError, match="must have links for evasion, got none"):
        deal(_of("link_search"), nodes.with_part(none), seed=0)
    bare = replace(nodes, parts=(graph,))
    with pytest.raises(UsageError, match="must declare how many links may be flipped"):
        deal(_of("link_search"), bare, seed=0)
    with pytest.raises(UsageError, match="norm must be scene for graphs"):
        deal(_of("link_search"), nodes, seed=0, params={"norm": "l2"})
    with pytest.raises(UsageError, match="whole number of flips"):
        deal(_of("link_search"), nodes, seed=0, params={"epsilon": 1.5})


def test_a_node_without_links_can_be_asked_about(nodes) -> None:
    graph = nodes.part(Graph)
    lonely = int(nodes.extra["test"].x[0, 0])
    edges = graph.edges[:, (graph.edges != lonely).all(0)]
    owner = NodePipeline(
        Graph(graph.features, edges), 3, Schedule(hidden=8, steps=20), offers=OPEN, cached=False
    )

    def fit(data: Data, include, seed) -> Ensemble:
        return owner.fit(replace(data, edges=edges), include, seed)

    scene = replace(nodes, fit=fit, training=owner, parts=(NodeLinks(2, graph.features, edges),))
    trials = play(_of("link_gradient"), scene, game_params={"rounds": 1, "records": 20})
    assert 0 <= trials.metrics["robust_accuracy"] <= trials.metrics["clean_accuracy"]

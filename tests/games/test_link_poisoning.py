"""Link poisoning: what the judge lets pass, the meta-gradient, what is said about bad graphs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hartley import catalog
from hartley.attacks.data_to_model.poisoning._shared.linear_surrogate import (
    MOMENTUM,
    RATE,
    Surrogate,
    adjacency_of,
)
from hartley.channel.measure import measure
from hartley.core import Access, Modality, Outcome, Scene, Term, attack
from hartley.core.errors import RuleError, UsageError
from hartley.defenses.signal.jaccard import _threshold
from hartley.engine.defend import defended
from hartley.engine.run.play import deal, play
from hartley.games.poisoning.link_poisoning import dead, link_poisoning, live
from hartley.kit.graph.node_classifier import Graph


def _attack(build: Any) -> Any:
    """An attack of the game from a function (view) → links."""

    def made(view: Any, rng: Any) -> Outcome:
        """Submit what the test says."""
        return Outcome(asset=replace(view.data, edges=build(view)))

    wrap = attack(
        game=link_poisoning,
        access=Access.POISON,
        term=Term.NOISE,
        modalities=(Modality.GRAPH,),
        paper="hartley",
    )
    return wrap(made)


def _scene(kind: Any = live) -> Scene:
    return kind(Modality.GRAPH, np.random.default_rng(0))


def test_no_flip_carries_no_bit_and_costs_nothing() -> None:
    trials = play(_attack(lambda view: view.data.links), _scene())
    assert measure(trials).bits.lower == pytest.approx(0, abs=1e-9)
    assert trials.metrics["clean_accuracy_drop"] == 0
    assert trials.metrics["poison_rate"] == 0
    assert trials.metrics["asr"] == 0


def test_on_the_dead_scene_even_a_graph_without_links_changes_nothing() -> None:
    trials = play(_attack(lambda view: view.data.links[:, :0]), _scene(dead))
    assert trials.metrics["clean_accuracy_drop"] == 0
    assert trials.metrics["poison_rate"] == 1


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda links: links * 1.0, "integer pairs"),
        (lambda links: links[0], "integer pairs"),
        (lambda links: links + 1000, "must join nodes 0"),
        (lambda links: np.array([[3], [3]]), "two different nodes"),
        (lambda links: np.concatenate([links[:, 9:], links[:, :1] * 0 + [[0], [119]]], 1), "at mo"),
    ],
)
def test_links_that_break_the_rules_are_refused(build: Any, said: str) -> None:
    with pytest.raises(RuleError, match=said):
        play(_attack(lambda view: build(view.data.links)), _scene(), game_params={"share": 0.05})


def test_a_link_that_is_named_twice_or_the_other_way_round_is_no_flip() -> None:
    def doubled(view: Any) -> Any:
        return np.concatenate([view.data.links, view.data.links[::-1]], 1)

    trials = play(_attack(doubled), _scene(), game_params={"share": 0.01})
    assert trials.metrics["poison_rate"] == 0


def test_targets_are_reached_by_one_flip_each_on_the_live_scene() -> None:
    trials = play(
        catalog.load("attack", "dice"), _scene(), params={"removed": 0.5},
        game_params={"goal": "targeted", "slots": 4, "share": 0.2},
    )  # fmt: skip
    assert trials.spec.alphabet == 4
    assert (trials.guess == trials.truth).mean() > 0.7
    assert trials.metrics["base_rate"] < 0.1


@pytest.mark.parametrize("loss", ["self", "targets"])
def test_the_meta_gradient_is_the_difference_quotient_of_a_whole_training(loss: str) -> None:
    """In double precision, over 30 steps with momentum, with ordinary autograd as the trainer."""
    rng = np.random.default_rng(0)
    nodes, classes = 14, 3
    edges = np.array([(i, j) for i in range(nodes) for j in range(i) if rng.random() < 0.3]).T
    features = rng.standard_normal((nodes, 5))
    labelled, labels = np.arange(8), rng.integers(0, classes, 8)
    made = Surrogate.of(features, labelled, labels, classes, rng, steps=30, hidden=4)
    made = replace(
        made,
        features=made.features.double(),
        weights=(made.weights[0].double(), made.weights[1].double()),
    )
    adjacency = adjacency_of(edges, nodes)
    rows, wanted = torch.arange(8, nodes), torch.from_numpy(rng.integers(0, classes, nodes - 8))
    sign = 1.0 if loss == "self" else -1.0

    def trained(changed: torch.Tensor) -> float:
        loops = changed + torch.eye(nodes, dtype=torch.float64)
        root = loops.sum(1).rsqrt()
        smooth = root[:, None] * loops * root
        held = [w.clone().requires_grad_() for w in made.weights]
        mover = torch.optim.SGD(held, lr=RATE, momentum=MOMENTUM)
        for _ in range(30):
            z = smooth @ smooth @ made.features @ held[0] @ held[1]
            mover.zero_grad()
            F.cross_entropy(z[:8], torch.from_numpy(labels)).backward()
            mover.step()
        z = smooth @ smooth @ made.features @ held[0] @ held[1]
        return sign * float(F.cross_entropy(z[rows], wanted).detach())

    slope = made.slope(adjacency, lambda z: sign * F.cross_entropy(z[rows], wanted))
    step, at = 1e-4, torch.from_numpy(adjacency.astype(np.float64))
    for i, j in ((0, 9), (3, 12), (10, 13), (1, 2)):
        ends = []
        for direction in (1, -1):
            moved = at.clone()
            moved[i, j] += direction * step
            moved[j, i] += direction * step
            ends.append(trained(moved))
        assert slope[i, j] == pytest.approx((ends[0] - ends[1]) / 2 / step, rel=1e-3, abs=1e-8)


@pytest.mark.parametrize("name", ["dice", "metattack"])
def test_flips_stay_within_the_budget_and_alike_nodes_are_joined_alone(name: str) -> None:
    played = catalog.load("attack", name)
    table = deal(played, _scene(), seed=0, params={"rounds": 1, "share": 0.1})
    view = table.rounds[0].view
    edges = played(view, np.random.default_rng(0), alike=0.05, **played.light).asset.links
    before = {tuple(sorted(e)) for e in view.data.links.T.tolist()}
    after = {tuple(sorted(e)) for e in edges.T.tolist()}
    assert 0 < len(before ^ after) <= view.brief.flips
    features = view.brief.features
    assert all((features[a] * features[b]).any() for a, b in after - before)


def test_jaccard_drops_a_known_share_of_honest_links_and_every_link_between_unlike_nodes() -> None:
    usual = np.array([0.0, 0.0, 0.1, 0.2, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    assert _threshold(usual, 0.1) == 0.0, "a third of nothing in common cannot be dropped at 10 %"
    assert _threshold(usual, 0.2) == 0.1
    for rate in (0.0, 0.3, 0.35, 0.9):
        assert (usual < _threshold(usual, rate)).mean() <= rate
    scene = _scene()
    after = defended(scene, "jaccard", {"false_alarms": 0.05})
    trials = play(catalog.load("attack", "dice"), after, game_params={"share": 0.5},
                  params={"removed": 0.0}, undefended=scene)  # fmt: skip
    assert trials.metrics["dropped_poison"] == 1
    assert trials.metrics["dropped_clean"] == 0
    assert trials.metrics["clean_accuracy_drop"] == 0


def test_bad_graphs_get_one_clear_line() -> None:
    scene = _scene()
    graph = scene.part(Graph)
    none = scene.with_part(Graph(graph.features, graph.edges[:, :0]))
    one = replace(scene, train=replace(scene.train, y=np.zeros(24, np.int64)))
    words = replace(scene, train=replace(scene.train, y=np.array(["a", "b"] * 12)))
    halves = replace(scene, train=replace(scene.train, y=np.linspace(0, 1, 24)))
    for bad, said in (
        (none, "the graph must have links for link_poisoning, got none"),
        (one, "must be of two classes or more, got 0 only"),
        (words, "must be integers from 0, got <U1"),
        (halves, "must be integers from 0, got float64"),
    ):
        with pytest.raises(UsageError, match=said):
            deal(catalog.load("attack", "dice"), bad, seed=0)
    with pytest.raises(UsageError, match="links of held-out records to calibrate on"):
        defended(none, "jaccard")


def test_nodes_without_links_are_answered_and_get_links_of_their_own() -> None:
    scene = _scene()
    graph = scene.part(Graph)
    lonely = graph.edges[:, (graph.edges != 30).all(0)]
    scene = scene.with_part(Graph(graph.features, lonely))
    trials = play(catalog.load("attack", "metattack"), scene, game_params={"rounds": 1},
                  params=dict(catalog.load("attack", "metattack").light))  # fmt: skip
    assert np.isfinite(trials.metrics["clean_accuracy"])

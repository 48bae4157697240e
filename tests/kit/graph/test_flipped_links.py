"""Flips of links: answers and slopes against whole computations, budgets, similarities."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core.errors import UsageError
from hartley.kit.graph import node_classifier
from hartley.kit.graph.flipped_links import FlippedLinks
from hartley.kit.graph.graph_classifier import Shape, ask, slopes
from hartley.kit.graph.link_budget import NodeLinks, SmallGraphLinks, similarities, similarity
from hartley.kit.graph.node_classifier import Answers, Graph, logits, smoothing, smoothing_of

NODES, WIDE, CLASSES = 30, 9, 3


@pytest.fixture
def net():
    """A graph in which one node has no link, and the weights of a network."""
    rng = np.random.default_rng(0)
    pairs = {tuple(sorted(p)) for p in rng.integers(1, NODES, (45, 2)).tolist() if p[0] != p[1]}
    features = (rng.random((NODES, WIDE)) < 0.4).astype(np.float32)
    shapes = {"0.weight": (7, WIDE), "0.bias": 7, "1.weight": (CLASSES, 7), "1.bias": CLASSES}
    weights = {n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()}
    return Graph(features, np.array(sorted(pairs)).T), weights


def _flipped(graph, node, others):
    """The links of the graph after flips, by sets: the slow and obvious way."""
    links = {tuple(sorted(p)) for p in graph.edges.T.tolist()}
    links ^= {tuple(sorted((node, other))) for other in others}
    return Graph(graph.features, np.array(sorted(links)).T, graph.rank)


@pytest.mark.parametrize("rank", [0, 5])
def test_answers_after_flips_are_those_of_the_whole_network_on_the_changed_graph(net, rank):
    graph, weights = Graph(net[0].features, net[0].edges, rank), net[1]
    budget = NodeLinks(3, graph.features, graph.edges)
    rng = np.random.default_rng(1)
    clean = budget.asked(np.r_[0, rng.permutation(NODES)[:9]][:, None])
    flips = np.zeros((len(clean), NODES))
    expected = []
    for row, node in enumerate(clean[:, 0].astype(int)):
        others = rng.choice(np.delete(np.arange(NODES), node), row % 4, replace=False)
        flips[row, others] = 1
        changed = _flipped(graph, node, others)
        out = logits(weights, smoothing_of(changed), changed.features)[node]
        expected.append(np.exp(out) / np.exp(out).sum())
    given = Answers(graph, weights)(budget.flipped(clean, flips))
    np.testing.assert_allclose(given, expected, rtol=1e-5, atol=1e-7)


def test_the_slope_along_flips_of_a_node_is_the_difference_quotient(net):
    graph, weights = net
    flipped = FlippedLinks(graph, weights)
    rng = np.random.default_rng(2)
    x = np.concatenate([np.arange(6)[:, None], rng.uniform(0.1, 0.4, (6, NODES))], 1)
    labels = rng.integers(0, CLASSES, 6)
    slope = flipped.slopes(x, labels, "ce")
    step = 1e-5
    for row, other in ((0, 4), (1, 8), (3, 20), (5, 2)):
        ends = []
        for sign in (1, -1):
            moved = x[row : row + 1].copy()
            moved[0, 1 + other] += sign * step
            z = flipped.logits(moved)[0]
            ends.append(np.log(np.exp(z).sum()) - z[labels[row]])
        assert slope[row, 3 + other] == pytest.approx((ends[0] - ends[1]) / 2 / step, abs=2e-4)
    assert slope[:, 2].max() == 0, "the number of a node has no slope"
    assert slope[3, 3 + 3] == 0, "a node has no link to itself"


def test_the_slope_along_flips_of_a_small_graph_is_the_difference_quotient():
    shape = Shape(6, 4, CLASSES, 5)
    rng = np.random.default_rng(3)
    weights = {n: rng.standard_normal(s).astype(np.float32) for n, s in shape.shapes.items()}
    budget = SmallGraphLinks(2, 6)
    x = np.zeros((3, 6, 10), np.float32)
    x[..., 6:] = rng.standard_normal((3, 6, 4))
    x = budget.flipped(x, rng.random((3, 15)) < 0.4)
    labels = np.array([0, 1, 2])
    head = slopes(shape, weights, x, labels, "ce")
    given = budget.slopes(x, head[:, 2:].reshape(x.shape))
    step = 1e-2
    for pair in range(15):
        ends = []
        for share in (step, 0.0):
            flips = np.zeros((3, 15))
            flips[:, pair] = share
            z = ask(shape, {n: w[None] for n, w in weights.items()}, budget.flipped(x, flips))[0]
            ends.append(np.log(np.exp(z).sum(1)) - z[np.arange(3), labels])
        quotient = (ends[0] - ends[1]) / step
        assert np.isclose(given[:, pair], quotient, rtol=0.1, atol=0.02).sum() >= 2, "but for kinks"


def test_a_budget_counts_flips_and_refuses_any_other_change():
    budget = SmallGraphLinks(2, 4)
    x = np.zeros((1, 4, 6), np.float32)
    x[0, :3, 4:] = 1  # the fourth place is empty
    x[0, 0, 1] = x[0, 1, 0] = 1
    pairs = np.triu_indices(4, 1)
    names = list(zip(*(p.tolist() for p in pairs), strict=True))

    def with_flips(*chosen):
        flips = np.array([[p in chosen for p in names]], float)
        return budget.flipped(x, flips)

    assert budget.sizes(x, with_flips((0, 1), (1, 2))).tolist() == [2]
    assert budget.allows(x, with_flips((0, 1), (1, 2))).all()
    assert not budget.allows(x, with_flips((0, 1), (1, 2), (0, 2))).any(), "three flips"
    assert not budget.allows(x, with_flips((0, 3))).any(), "a link to a place without a node"
    one_way = x.copy()
    one_way[0, 1, 2] = 1
    assert not budget.allows(x, one_way).any(), "a link in one direction"
    features = x.copy()
    features[0, 0, 4] += 0.5
    assert not budget.allows(x, features).any(), "features do not change"
    with pytest.raises(UsageError, match="whole number"):
        budget.with_(1.5)


def test_similarity_is_the_share_of_common_features_and_minds_their_signs():
    a = np.array([[1, 0, 2, 0], [1, -1, 0, 0], [0, 0, 0, 0]])
    b = np.array([[3, 0, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]])
    assert similarity(a, b).tolist() == [0.5, 0.5, 0.0]
    every = np.concatenate([a, b])
    pairs = similarities(every, np.arange(3))[np.arange(3), np.arange(3, 6)]
    assert pairs.tolist() == [0.5, 0.5, 0.0]


def test_both_similarities_agree_to_the_last_bit_so_that_one_threshold_suits_both():
    features = (np.random.default_rng(2).random((40, 23)) < 0.4).astype(np.float32)
    i, j = np.triu_indices(40, 1)
    at_once = similarities(features, np.arange(40))[i, j]
    assert np.array_equal(at_once, similarity(features[i], features[j]))


def test_an_adjacency_of_full_rank_is_the_graph_and_a_lower_one_is_the_truncated_spectrum(net):
    graph, _ = net
    adjacency = (smoothing(graph.edges, NODES).toarray() > 0) - np.eye(NODES)
    values, vectors = np.linalg.eigh(adjacency)
    order = np.argsort(-np.abs(values))[:6]
    low = np.maximum((vectors[:, order] * values[order]) @ vectors[:, order].T, 0)
    np.fill_diagonal(low, 1)
    root = low.sum(1) ** -0.5
    given = smoothing_of(Graph(graph.features, graph.edges, 6))
    np.testing.assert_allclose(given, root[:, None] * low * root, atol=1e-8)


def test_a_nudge_is_answered_through_low_rank_too(net):
    graph, weights = Graph(net[0].features, net[0].edges, 5), net[1]
    answers = Answers(graph, weights)(np.array([[3, 4]]))[0]
    changed = graph.features.astype(np.float64).copy()
    changed[4] *= 1 + node_classifier.NUDGE
    out = logits(weights, smoothing_of(graph), changed)[3]
    np.testing.assert_allclose(answers, np.exp(out) / np.exp(out).sum(), rtol=1e-5)

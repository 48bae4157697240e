"""Graph nets: hand-written training against autograd, and answers against a full computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hartley.core.errors import UsageError
from hartley.kit.graph import node_classifier
from hartley.kit.graph.graph_classifier import Shape, Study, ask, train_graphs
from hartley.kit.graph.node_classifier import Answers, Graph, Schedule, smoothing, train_nodes

NODES, WIDE, CLASSES = 40, 12, 3


@pytest.fixture
def graph():
    rng = np.random.default_rng(0)
    pairs = {tuple(sorted(p)) for p in rng.integers(0, NODES, (70, 2)).tolist() if p[0] != p[1]}
    features = (rng.random((NODES, WIDE)) < 0.4).astype(np.float32)
    return Graph(features, np.array(sorted(pairs)).T)


def dense_smoothing(edges):
    a = np.eye(NODES)
    a[edges[0], edges[1]] = a[edges[1], edges[0]] = 1
    root = a.sum(1) ** -0.5
    return root[:, None] * a * root


def test_smoothing_is_the_formula_and_counts_a_link_once(graph):
    expected = dense_smoothing(graph.edges)
    assert np.allclose(smoothing(graph.edges, NODES).toarray(), expected)
    twice = np.concatenate([graph.edges, graph.edges[::-1]], 1)
    assert np.allclose(smoothing(twice, NODES).toarray(), expected)
    with pytest.raises(UsageError, match="outside"):
        smoothing(np.array([[0], [NODES]]), NODES)


def test_training_by_hand_equals_autograd(graph):
    rng = np.random.default_rng(1)
    rows, labels = rng.permutation(NODES)[:20], rng.integers(0, CLASSES, 20)
    include = rng.random((3, 20)) < 0.5
    schedule = Schedule(hidden=5, steps=12, lr=0.05, decay=0.01)
    made = train_nodes(graph, rows, labels, include, schedule, classes=CLASSES, seed=3)
    start = train_nodes(
        graph, rows, labels, include, Schedule(hidden=5, steps=0), classes=CLASSES, seed=3
    )
    smooth = torch.tensor(dense_smoothing(graph.edges), dtype=torch.float32)
    for k in range(3):
        held = {n: torch.nn.Parameter(torch.tensor(w[k])) for n, w in start.items()}
        mover = torch.optim.AdamW(held.values(), lr=0.05, weight_decay=0.01)
        mine = torch.tensor(rows[include[k]])
        for _ in range(12):
            hidden = smooth @ torch.tensor(graph.features) @ held["0.weight"].T + held["0.bias"]
            out = smooth @ (hidden.relu() @ held["1.weight"].T) + held["1.bias"]
            loss = F.cross_entropy(out[mine], torch.tensor(labels[include[k]]))
            mover.zero_grad()
            loss.backward()
            mover.step()
        for name, array in held.items():
            assert np.allclose(made[name][k], array.detach().numpy(), atol=2e-5), name


def test_a_net_does_not_depend_on_its_company(graph):
    rng = np.random.default_rng(2)
    rows, labels = np.arange(30), rng.integers(0, CLASSES, 30)
    include = rng.random((4, 30)) < 0.5
    whole = train_nodes(graph, rows, labels, include, Schedule(), classes=CLASSES, seed=0)
    alone = train_nodes(
        graph, rows, labels, include[2:3], Schedule(), classes=CLASSES, seed=0, first=2
    )
    for name in whole:
        assert np.allclose(whole[name][2], alone[name][0], atol=1e-5)
        assert not np.allclose(whole[name][1], alone[name][0], atol=1e-2)


def test_a_changed_node_moves_an_answer_as_a_full_computation_says(graph):
    weights = {
        n: w[0]
        for n, w in train_nodes(
            graph, np.arange(30), np.arange(30) % CLASSES, np.ones((1, 30), bool), Schedule(),
            classes=CLASSES, seed=0,
        ).items()
    }  # fmt: skip
    smooth = smoothing(graph.edges, NODES)
    answers = Answers(graph, weights)
    every = np.arange(NODES)
    for changed in (1, 7):
        features = graph.features.astype(np.float64)
        features[changed] *= 1 + node_classifier.NUDGE
        out = node_classifier.logits(weights, smooth, features)
        expected = np.exp(out) / np.exp(out).sum(1, keepdims=True)
        said = answers(np.stack([every, np.full(NODES, changed)], 1))
        assert np.allclose(said, expected, atol=1e-12)
        far = np.asarray((smooth @ smooth)[[changed]].toarray())[0] == 0
        still = answers(every[:, None])
        assert np.array_equal(said[far], still[far])
        assert np.abs(said - still)[~far].max() > 1e-8


def test_questions_that_name_no_nodes_are_refused(graph):
    weights = {
        "0.weight": np.zeros((2, WIDE)), "0.bias": np.zeros(2),
        "1.weight": np.zeros((CLASSES, 2)), "1.bias": np.zeros(CLASSES),
    }  # fmt: skip
    answers = Answers(graph, weights)
    for bad in (np.zeros((2, 3)), np.array([[NODES]]), np.array([[-1]]), np.zeros((1, 2, 2))):
        with pytest.raises(UsageError, match="nodes"):
            answers(bad)


def small(n, rng, shape):
    x = np.zeros((n, shape.nodes, shape.nodes + shape.features), np.float32)
    size = rng.integers(2, shape.nodes + 1, n)
    for i, s in enumerate(size):
        x[i, :s, shape.nodes :] = rng.standard_normal((s, shape.features))
        links = np.triu(rng.random((s, s)) < 0.5, 1)
        x[i, :s, :s] = links + links.T
    return x, (size > shape.nodes // 2).astype(np.int64)


SHAPE = Shape(nodes=6, features=4, classes=2, hidden=8)


def test_the_order_of_a_small_graphs_nodes_does_not_matter():
    rng = np.random.default_rng(0)
    x, y = small(20, rng, SHAPE)
    weights = train_graphs(SHAPE, x, y, np.ones((1, 20), bool), Study(epochs=2, batch=8), seed=0)
    turn = rng.permutation(SHAPE.nodes)
    moved = x[:, turn].copy()
    moved[..., : SHAPE.nodes] = moved[..., turn]
    assert np.allclose(ask(SHAPE, weights, x), ask(SHAPE, weights, moved), atol=1e-5)
    cut = x.copy()
    cut[..., : SHAPE.nodes] = 0
    assert not np.allclose(ask(SHAPE, weights, x), ask(SHAPE, weights, cut), atol=1e-3)


def test_small_graph_nets_learn_their_own_records_whatever_their_company():
    rng = np.random.default_rng(1)
    x, _ = small(60, rng, SHAPE)
    y = rng.integers(0, 2, 60)  # labels by coin: only what was trained on can be known
    include = np.zeros((3, 60), bool)
    for k in range(3):
        include[k, rng.permutation(60)[: 20 + 5 * k]] = True
    study = Study(epochs=150, batch=10, lr=0.02)
    whole = train_graphs(SHAPE, x, y, include, study, seed=5)
    right = ask(SHAPE, whole, x).argmax(2) == y
    assert right[include].mean() > 0.9 and right[~include].mean() < 0.75
    alone = train_graphs(SHAPE, x, y, include[1:2], study, seed=5, first=1)
    for name in whole:
        assert np.allclose(whole[name][1], alone[name][0], atol=1e-4)


def test_small_graphs_of_another_shape_are_refused():
    with pytest.raises(UsageError, match="records must be graphs of shape"):
        ask(SHAPE, {n: np.zeros((1, *s), np.float32) for n, s in SHAPE.shapes.items()},
            np.zeros((2, 5, 9)))  # fmt: skip

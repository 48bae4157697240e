"""Copies of graph networks: what the attacker knows of the graph decides how much they get."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.attacks.model_to_model.extraction.gnn_extraction import gnn_extraction
from hartley.attacks.model_to_model.extraction.inductive_extraction import (
    _relinked,
    inductive_extraction,
)
from hartley.core import Modality
from hartley.engine.run.play import play
from hartley.games.extraction.descriptions import described
from hartley.games.extraction.extraction import live
from hartley.games.extraction.tiny_graph import CLUSTERS
from hartley.kit.graph.node_classifier import Graph, Schedule, train_nodes
from hartley.models.graph_copy import nearest_links


def _scene():
    return live(Modality.GRAPH, np.random.default_rng(0))


def test_nodes_are_described_by_what_is_around_them() -> None:
    scene = _scene()
    rows = described(scene, scene.extra["pool"])
    place = np.repeat(np.arange(CLUSTERS), len(rows) // CLUSTERS)
    alike = rows @ rows.T
    same = place[:, None] == place
    assert alike[same].min() > 0.99 > alike[~same].max()


def test_links_are_rebuilt_between_like_nodes_each_once() -> None:
    features = np.array([[1, 0], [0.9, 0.1], [0, 1], [0.1, 0.9], [1, 0.05]])
    assert nearest_links(features, np.arange(5), 1).T.tolist() == [[0, 4], [1, 4], [2, 3]]
    assert nearest_links(features, np.array([2, 3, 4]), 1).T.tolist() == [[2, 3], [3, 4]]
    assert nearest_links(features, np.array([3]), 4).shape == (2, 0)
    within = _scene().part(Graph)
    nodes = np.arange(192)
    a, b = nearest_links(within.features, nodes, 3)
    assert np.all(a // 12 == b // 12), "clusters of 12 nodes"


def test_small_graphs_are_relinked_between_like_nodes_and_no_empty_place() -> None:
    x = np.zeros((1, 4, 6), np.float32)
    x[0, :3, 4:] = [[1, 0], [1, 0.1], [0, 1]]
    x[0, 0, 2] = x[0, 2, 0] = 1
    links = _relinked(x, 1)[0, :, :4]
    assert links.tolist() == [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert np.array_equal(_relinked(x, 1)[:, :, 4:], x[:, :, 4:]) and x[0, 0, 2] == 1


def test_certain_scores_teach_what_labels_teach() -> None:
    scene = _scene()
    graph, pool = scene.part(Graph), scene.extra["pool"]
    rows, everyone = pool.x[:, 0], np.ones((2, len(pool)), dtype=bool)
    by_label, by_score = (
        train_nodes(graph, rows, y, everyone, Schedule(steps=5), classes=4, seed=0)
        for y in (pool.y, np.eye(4)[pool.y])
    )
    for name, weights in by_label.items():
        assert np.array_equal(weights, by_score[name])


def test_a_copy_needs_features_or_links_and_less_of_the_graph_gives_less() -> None:
    scene = _scene()
    fidelity = {
        know: play(gnn_extraction, scene, params={"knows": know}, game_params={"rounds": 2})
        for know in ("all", "features", "links")
    }
    assert fidelity["all"].metrics["fidelity"] == 1 > fidelity["all"].metrics["baseline"]
    assert fidelity["features"].metrics["fidelity"] > 0.95
    # Features that are made up say which nodes are near: in the rings of the tiny graph most are.
    assert 0.95 > fidelity["links"].metrics["fidelity"] > 0.6
    alone = replace(scene.part(Graph), edges=np.zeros((2, 0), np.int64))
    unlinked = play(
        gnn_extraction, scene.with_part(alone), params={"knows": "links"}, game_params={"rounds": 2}
    )
    assert unlinked.metrics["fidelity"] < 0.5, "nothing joins a probe to a queried node"


@pytest.mark.parametrize("links", [True, False])
def test_a_copy_from_the_attackers_own_nodes_answers_about_others(links: bool) -> None:
    trials = play(
        inductive_extraction, _scene(), params={"links": links}, game_params={"rounds": 2}
    )
    assert trials.metrics["fidelity"] > 0.9 > trials.metrics["baseline"] + 0.4
    assert (trials.guess == trials.truth).mean() > 0.9

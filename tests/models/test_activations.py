"""The last hidden layer of an owner's networks: what their last layer reads, of any records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hartley.core import Access, Data, Modality
from hartley.defenses._shared import retrain_without
from hartley.kit.fleet import Training
from hartley.kit.graph.graph_classifier import Shape, Study
from hartley.kit.language.bags import Bags
from hartley.kit.nets import dense
from hartley.models.activations import last_hidden, readings
from hartley.models.graph import GraphPipeline
from hartley.models.pipeline import Pipeline

WORDS = ("river", "engine", "garden", "letter")


def numbers(rng: np.random.Generator) -> tuple[Any, Data]:
    y = rng.integers(0, 2, 40)
    x = (rng.standard_normal((40, 6)) + y[:, None]).astype(np.float32)
    owner = Pipeline(dense((6,), 2, (8,)), Training(epochs=2), Modality.TABULAR, cached=False)
    return owner, Data("records", Modality.TABULAR, x, y)


def texts(rng: np.random.Generator) -> tuple[Any, Data]:
    y = rng.integers(0, 4, 40)
    x = np.array([f"the {WORDS[c]} of number {i}" for i, c in enumerate(y)], dtype=object)
    bags = Bags(64, 32)
    owner = Pipeline(
        dense((bags.width,), 4, (8,)), Training(epochs=2), Modality.LANGUAGE,
        cached=False, bags=bags,
    )  # fmt: skip
    return owner, Data("texts", Modality.LANGUAGE, x, y)


def graphs(rng: np.random.Generator) -> tuple[Any, Data]:
    y = rng.integers(0, 2, 40)
    links = np.triu(rng.random((40, 5, 5)) < 0.4, 1)
    links = links | links.transpose(0, 2, 1)
    features = rng.random((40, 5, 3)) + y[:, None, None]
    x = np.concatenate([links, features], 2).astype(np.float32)
    owner = GraphPipeline(Shape(5, 3, 2, hidden=4), Study(epochs=2), cached=False)
    return owner, Data("graphs", Modality.GRAPH, x, y)


@pytest.mark.parametrize("kind", [numbers, texts, graphs])
def test_the_last_layer_on_what_is_read_answers_as_the_model_does(kind: Any) -> None:
    owner, data = kind(np.random.default_rng(0))
    everyone = np.ones((1, len(data)), dtype=bool)
    opened = owner.with_(offers=owner.offers | Access.WEIGHTS)
    model = opened.fit(data, everyone, 0).member(0)
    weights = [np.asarray(w) for w in model.weights().values()]
    hidden = last_hidden(owner, model)(data.x)
    logits = hidden @ weights[-2].T + weights[-1]
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(model.query(data.x), expected, atol=1e-5)
    (read,) = readings(owner, owner.fit, data, everyone, 0)
    np.testing.assert_allclose(read(data.x)[0], hidden, atol=1e-6)
    np.testing.assert_allclose(np.exp(read(data.x)[1]), expected, atol=1e-5)


def test_defenses_read_the_networks_of_graphs_and_not_the_records() -> None:
    owner, data = graphs(np.random.default_rng(1))
    everyone = np.ones((2, len(data)), dtype=bool)
    features = retrain_without._features(owner, data, everyone, 0, clean=data, also=None)
    assert [(a.x.shape, b.x.shape) for a, b in features] == [((40, 8), (40, 8))] * 2


def test_texts_are_read_as_bags_where_no_network_can_be() -> None:
    owner, data = texts(np.random.default_rng(2))
    everyone = np.ones((1, len(data)), dtype=bool)
    (read,) = readings(None, owner.fit, data, everyone, 0)
    np.testing.assert_array_equal(read(data.x)[0], Bags()(data.x))

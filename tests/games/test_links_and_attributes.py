"""Links of a graph and a field of a table as games: who draws, who trains, who judges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import distance

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core import AnswerForm, Data, Ensemble, Modality, Model, Outcome, Scene
from hartley.core.errors import RunError, UsageError
from hartley.engine.run.play import play
from hartley.games.inversion import link_inference as links
from hartley.games.inversion.attribute_inference import (
    SensitiveAttribute,
    attribute_inference,
    candidates,
)
from hartley.kit.graph.node_classifier import Graph

NODES = 30


def watched(modality):
    """A scene whose trainer only writes down what it was given."""
    seen = []
    model = Model("m", modality, lambda x: np.full((len(x), 2), 0.5), classes=2)

    def fit(data, include, seed):
        seen.append((data, include, seed))
        models = [model] * len(include)
        return Ensemble(
            len(include), lambda x: np.stack([m.query(x) for m in models]), models.__getitem__
        )

    return Scene("watched", modality, model=model, fit=fit), seen


def test_links_that_are_dropped_are_not_trained_on():
    scene, seen = watched(Modality.GRAPH)
    edges = np.stack([np.arange(NODES - 1), np.arange(1, NODES)])
    rows = np.arange(NODES)[:, None]
    train = Data("train", Modality.GRAPH, rows, np.zeros(NODES, int), edges)
    graph = Graph(np.eye(NODES, dtype=np.float32), edges)

    def asked_of(pairs):
        return replace(scene, train=train, parts=(graph, links.HiddenLinks(pairs)))

    deal = links.link_inference(asked_of(20), np.random.default_rng(0), rounds=30)
    every = {tuple(e) for e in edges.T}
    for one, (data, include, _) in zip(deal.rounds, seen, strict=True):
        asked = {tuple(p) for p in one.view.brief.question.x}
        kept = {
            tuple(p) for p, bit in zip(one.view.brief.question.x, one.truth, strict=True) if bit
        }
        assert {tuple(e) for e in data.edges.T} == (every - asked) | kept
        assert {tuple(e) for e in one.view.brief.public.edges.T} == every - asked
        assert include.all() and len(asked) == 20
    share = np.mean([one.truth.mean() for one in deal.rounds])
    assert 0.4 < share < 0.6
    assert len({seed for _, _, seed in seen}) == 30
    with pytest.raises(UsageError, match="links, got 29"):
        links.link_inference(asked_of(30), np.random.default_rng(0), rounds=2)


def test_link_scores_are_measured_as_scores():
    """Half of the links drawn are not half of the pairs: no cut at a median may speak for them."""
    scene = links.live(Modality.GRAPH, np.random.default_rng(0))
    trials = play(catalog.load("attack", "link_stealing"), scene, seed=0)
    assert trials.spec.form is AnswerForm.SCORE and trials.spec.alphabet == 2
    assert len(np.unique(trials.guess)) > 2
    channel = measure(trials)
    wins = [
        (a > b) + (a == b) / 2
        for a in trials.guess[trials.truth == 1]
        for b in trials.guess[trials.truth == 0]
    ]
    auc = channel.metrics["auc"]
    assert auc["value"] == pytest.approx(np.mean(wins)) and auc["low"] <= auc["value"]
    assert {"auc", "tpr_at_fpr_1e2", "tpr_at_fpr_1e3"} <= set(channel.metrics)


def test_the_eight_distances_are_those_of_scipy():
    a, b = np.random.default_rng(0).dirichlet(np.ones(5), (2, 10))
    for name, mine in links.answer_distances(a, b).items():
        theirs = [getattr(distance, name)(p, q) for p, q in zip(a, b, strict=True)]
        assert np.allclose(mine, theirs), name


def test_each_victim_reads_its_own_values_and_no_target_twice():
    scene, seen = watched(Modality.TABULAR)
    rng = np.random.default_rng(0)
    train = Data("train", Modality.TABULAR, rng.random((60, 5), dtype=np.float32),
                 rng.integers(0, 2, 60))  # fmt: skip
    before = train.x.copy()
    codes = np.eye(3, dtype=np.float32)

    def asked_of(field):
        return replace(scene, train=train, parts=(field,))

    field = SensitiveAttribute((1, 2, 3), codes, targets=20)
    deal = attribute_inference(asked_of(field), np.random.default_rng(1), rounds=12)
    ((data, include, _),) = seen
    assert np.array_equal(train.x, before)
    for k, one in enumerate(deal.rounds):
        blank = one.view.brief.question.x
        assert not blank[:, 1:4].any()
        read = data.x[include[k]]
        assert len(read) == 60
        held = candidates(one.view.brief)[np.arange(20), one.truth]
        for row in held:
            assert (read == row).all(1).sum() == 1
        others = np.isin(train.x[:, 0], blank[:, 0], invert=True)
        assert others.sum() == 40 and all((read == row).all(1).any() for row in train.x[others])
    counts = np.bincount(np.concatenate([one.truth for one in deal.rounds]), minlength=3)
    assert counts.min() > 50
    with pytest.raises(UsageError, match="training records for"):
        attribute_inference(asked_of(replace(field, targets=31)), rng, rounds=2)
    with pytest.raises(RunError, match="integers, one per target"):
        deal.judge(deal.rounds, [Outcome(guess=np.zeros(20))] * 12)


@pytest.mark.parametrize("game", [links.link_inference, attribute_inference], ids=lambda g: g.name)
def test_a_dead_scene_answers_the_same_whatever_was_drawn(game):
    scene = game.dead(game.modalities[0], np.random.default_rng(0))
    deal = game(scene, np.random.default_rng(1), rounds=3)
    asked = deal.rounds[0].view.brief.question.x
    nodes = np.unique(asked)[:, None] if game is links.link_inference else asked
    said = [one.view.model.query(nodes) for one in deal.rounds]
    assert all(np.array_equal(said[0], other) for other in said)
    assert any((one.truth != deal.rounds[0].truth).any() for one in deal.rounds)

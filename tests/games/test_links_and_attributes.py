"""Two releases: links of a graph and a field of a table. Who draws, who trains, who judges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import distance

from hartley.core import Data, Ensemble, Modality, Model, Outcome, Scene
from hartley.core.errors import RunError, UsageError
from hartley.games.inversion import link_inference
from hartley.games.inversion.attribute_inference import Attributes, candidates
from hartley.games.inversion.inversion import dead, inversion, live
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
    tools = {"graph": Graph(np.eye(NODES, dtype=np.float32), edges)}
    release = link_inference.Links(pairs=20)
    deal = release.deal(replace(scene, train=train, tools=tools), np.random.default_rng(0), 30)
    every = {tuple(e) for e in edges.T}
    for one, (data, include, _) in zip(deal.rounds, seen, strict=True):
        asked = {tuple(p) for p in one.view.question.x}
        kept = {tuple(p) for p, bit in zip(one.view.question.x, one.truth, strict=True) if bit}
        assert {tuple(e) for e in data.edges.T} == (every - asked) | kept
        assert {tuple(e) for e in one.view.public.edges.T} == every - asked
        assert include.all() and len(asked) == 20
    share = np.mean([one.truth.mean() for one in deal.rounds])
    assert 0.4 < share < 0.6
    assert len({seed for _, _, seed in seen}) == 30
    with pytest.raises(UsageError, match="29 links"):
        link_inference.Links(pairs=30).deal(
            replace(scene, train=train, tools=tools), np.random.default_rng(0), 2
        )


def test_scores_are_cut_at_their_median_and_symbols_are_taken_as_they_are():
    deal = inversion(live(Modality.GRAPH, np.random.default_rng(0)), np.random.default_rng(1),
                     release="links", rounds=2)  # fmt: skip
    m = len(deal.rounds[0].truth)
    scores = [Outcome(guess=one.truth * 2.0 + np.linspace(0, 1, m)) for one in deal.rounds]
    for got, one in zip(deal.judge(deal.rounds, scores), deal.rounds, strict=True):
        assert got.metrics["auc"] == 1.0 and (got.guess == 1).sum() == m // 2
        assert got.metrics["identified"] == pytest.approx((got.guess == one.truth).mean())
    plain = [Outcome(guess=one.truth) for one in deal.rounds]
    for got, one in zip(deal.judge(deal.rounds, plain), deal.rounds, strict=True):
        assert np.array_equal(got.guess, one.truth) and got.metrics["identified"] == 1.0
    with pytest.raises(RunError, match="finite"):
        deal.judge(deal.rounds, [Outcome(guess=np.full(m, np.nan))] * 2)


def test_auc_counts_pairs_and_half_of_ties():
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(0, 2, 40), rng.integers(0, 5, 40)
    wins = [(a > b) + (a == b) / 2 for a in scores[truth == 1] for b in scores[truth == 0]]
    assert link_inference.auc(truth, scores) == pytest.approx(np.mean(wins))


def test_the_eight_distances_are_those_of_scipy():
    a, b = np.random.default_rng(0).dirichlet(np.ones(5), (2, 10))
    for name, mine in link_inference.apart(a, b).items():
        theirs = [getattr(distance, name)(p, q) for p, q in zip(a, b, strict=True)]
        assert np.allclose(mine, theirs), name


def test_each_victim_reads_its_own_values_and_no_target_twice():
    scene, seen = watched(Modality.TABULAR)
    rng = np.random.default_rng(0)
    train = Data("train", Modality.TABULAR, rng.random((60, 5), dtype=np.float32),
                 rng.integers(0, 2, 60))  # fmt: skip
    before = train.x.copy()
    codes = np.eye(3, dtype=np.float32)
    release = Attributes((1, 2, 3), codes, targets=20)
    deal = release.deal(replace(scene, train=train), np.random.default_rng(1), 12)
    ((data, include, _),) = seen
    assert np.array_equal(train.x, before)
    for k, one in enumerate(deal.rounds):
        blank = one.view.question.x
        assert not blank[:, 1:4].any()
        read = data.x[include[k]]
        assert len(read) == 60
        held = candidates(one.view)[np.arange(20), one.truth]
        for row in held:
            assert (read == row).all(1).sum() == 1
        others = np.isin(train.x[:, 0], blank[:, 0], invert=True)
        assert others.sum() == 40 and all((read == row).all(1).any() for row in train.x[others])
    counts = np.bincount(np.concatenate([one.truth for one in deal.rounds]), minlength=3)
    assert counts.min() > 50
    with pytest.raises(UsageError, match="twice as many"):
        Attributes((1,), codes[:, :1], targets=31).deal(replace(scene, train=train), rng, 2)
    with pytest.raises(RunError, match="whole numbers"):
        deal.judge(deal.rounds, [Outcome(guess=np.zeros(20))] * 12)


@pytest.mark.parametrize(("modality", "kind"), [("graph", "links"), ("tabular", "attributes")])
def test_a_dead_wire_answers_the_same_whatever_was_drawn(modality, kind):
    scene = dead(Modality(modality), np.random.default_rng(0))
    deal = inversion(scene, np.random.default_rng(1), release=kind, rounds=3)
    asked = deal.rounds[0].view.question.x
    nodes = np.unique(asked)[:, None] if kind == "links" else asked
    said = [one.view.model.query(nodes) for one in deal.rounds]
    assert all(np.array_equal(said[0], other) for other in said)
    assert any((one.truth != deal.rounds[0].truth).any() for one in deal.rounds)

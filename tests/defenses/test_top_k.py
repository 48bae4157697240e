"""Top-k: k numbers leave the model, in the units of its answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hartley.core import Modality, Model, Output, Scene
from hartley.defenses.bandwidth.top_k import by_prefix, published, top_k
from hartley.games.membership.membership import live

LAW = np.array([[0.5, 0.3, 0.12, 0.08], [0.25, 0.25, 0.25, 0.25]])


def test_probabilities():
    spread = published(LAW, Output.PROBABILITIES, 2, "spread")
    np.testing.assert_allclose(spread[0], [0.5, 0.3, 0.1, 0.1])
    np.testing.assert_allclose(spread[1], 0.25)
    drop = published(LAW, Output.PROBABILITIES, 2, "drop")
    np.testing.assert_allclose(drop, [[0.625, 0.375, 0, 0], [0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(published(LAW, Output.PROBABILITIES, 1, "drop"), np.eye(4)[[0, 0]])
    assert published(LAW, Output.PROBABILITIES, 4, "drop") is LAW


@pytest.mark.parametrize("k", [1, 2, 3])
def test_logits_are_the_logits_of_the_published_law(k):
    logits = np.log(LAW) + 7
    got = published(logits, Output.LOGITS, k, "spread")
    law = np.exp(got) / np.exp(got).sum(1, keepdims=True)
    np.testing.assert_allclose(law, published(LAW, Output.PROBABILITIES, k, "spread"))
    np.testing.assert_allclose(got[0, :k], logits[0, :k])
    got = published(logits, Output.LOGITS, k, "drop")
    law = np.exp(got) / np.exp(got).sum(1, keepdims=True)
    dropped = published(LAW, Output.PROBABILITIES, k, "drop")
    np.testing.assert_allclose(law, dropped, atol=1e-5)


def test_embeddings_and_labels():
    z = np.array([[0.1, -3.0, 2.0, 0.5]])
    np.testing.assert_allclose(published(z, Output.EMBEDDINGS, 2, "drop"), [[0, -3.0, 2.0, 0]])
    labels = np.array([2, 0])
    assert published(labels, Output.LABELS, 1, "drop") is labels


def test_what_is_not_published_cannot_be_told_apart(tiny):
    rng = tiny.rng(3)
    rows = rng.dirichlet(np.ones(6), 50)
    rows.sort(1)
    shuffled = rows.copy()
    shuffled[:, :4] = rng.permuted(shuffled[:, :4], axis=1)
    for rest in ("spread", "drop"):
        one = published(rows, Output.PROBABILITIES, 2, rest)
        np.testing.assert_allclose(one, published(shuffled, Output.PROBABILITIES, 2, rest))
        np.testing.assert_allclose(one.sum(1), 1)


def test_a_language_models_scores_are_those_of_the_published_law(tiny):
    scene = live(Modality.LANGUAGE, tiny.rng())
    assert scene.model is not None and scene.model.score is not None
    tokens = scene.extra["pool"].x[:6].copy()
    tokens[0, 5:] = -1
    # By itself the reading by prefixes is what the model says of its own accord.
    read = by_prefix(scene.model.query, scene.model.output, tokens, scene.model.classes)
    np.testing.assert_allclose(read[..., 0], scene.model.score(tokens), atol=1e-6)
    assert scene.model.moments is not None
    np.testing.assert_allclose(read, scene.model.moments(tokens), atol=1e-6)
    shielded = top_k(scene, tiny.rng(), k=2)
    assert shielded.model is not None and shielded.model.score is not None
    scores = shielded.model.score(tokens)
    for at in range(1, 5):
        answers = shielded.model.query(tokens[:, :at])
        said = np.log(answers[np.arange(6), np.maximum(tokens[:, at], 0)])
        np.testing.assert_allclose(scores[:, at - 1], said, atol=1e-9)
    assert (scores[0, 4:] == 0).all()
    assert shielded.model.moments is not None
    np.testing.assert_allclose(shielded.model.moments(tokens)[..., 0], scores)
    ends = replace(scene, model=scene.model.with_(tail_score=lambda t, first: scores[:, 0]))
    assert "tail_score" not in top_k(ends, tiny.rng(), k=2).model.calls
    assert shielded.fit is not None
    pool = scene.extra["pool"]
    victim = shielded.fit(pool, np.ones((1, len(pool)), bool), 0).member(0)
    np.testing.assert_allclose(victim.score(tokens), scores)


def test_it_stands_before_every_model(tiny):
    bare = tiny.scene(epochs=5, n=40)
    shielded = top_k(bare, tiny.rng(), k=1)
    made, _, pool = tiny.victims(shielded, 2)
    for answers in (made.query(pool.x)[0], made.member(1).query(pool.x),
                    shielded.model.query(pool.x)):  # fmt: skip
        assert all(len(np.unique(row.round(9))) <= 2 for row in answers)
    assert isinstance(shielded, Scene) and isinstance(shielded.model, Model)

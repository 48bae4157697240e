"""An owner of texts: what he says of himself, and how his small networks read."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core import Data, Modality
from hartley.kit.fleet import Privacy
from hartley.kit.language import gpt
from hartley.models import causal, text_pipeline
from hartley.models.text_pipeline import TextPipeline
from hartley.models.training_defense import PrivatePipeline

pytest.importorskip("torch")

OWNER = TextPipeline(
    gpt.Shape(vocabulary=40, width=16, layers=1, heads=2, context=24),
    gpt.Lesson(epochs=2, batch=8, rate=1e-2),
)
PRIVACY = Privacy(noise=1.0, clip=1.0, rate=0.5, steps=3, expected=8.0, lr=0.01)


def pool(n: int = 16):
    return Data("pool", Modality.LANGUAGE, np.random.default_rng(0).integers(0, 40, (n, 9)))


def test_models_are_kept_by_what_they_depend_on(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    trained = []
    for name in ("gpt.train", "ghost_clipping.train_private"):
        module, function = name.split(".")
        true = getattr(getattr(text_pipeline, module), function)
        monkeypatch.setattr(
            getattr(text_pipeline, module),
            function,
            lambda *a, true=true, name=name, **k: trained.append(name) or true(*a, **k),
        )
    halves = np.arange(16) % 2 == np.array([[0], [1]])
    private = OWNER.privately(PRIVACY)
    assert isinstance(OWNER, PrivatePipeline) and private.private == PRIVACY and OWNER.epochs == 2
    for owner, times in ((OWNER, 2), (OWNER, 2), (private, 4), (private, 4)):
        owner.fit(pool(), halves, 5)
        assert len(trained) == times
    owner = private.with_(private=Privacy(**{**PRIVACY.recipe, "noise": 2.0}))
    owner.fit(pool(), halves, 5)
    assert trained == ["gpt.train"] * 2 + ["ghost_clipping.train_private"] * 4


def test_rows_are_read_alike_in_a_tree_and_in_a_batch(monkeypatch):
    """A tree is made where rows share enough, and changes no answer."""
    state = OWNER.with_(cached=False).fit(pool(), np.ones((1, 16), bool), 0).facts["states"](0)
    rows = np.repeat(pool(4).x, 12, 0)
    rows[:, 7:] = np.random.default_rng(1).integers(0, 40, (48, 2))
    rows[::5, 8] = -1
    made, true = [], causal.text.tree
    monkeypatch.setattr(causal.text, "tree", lambda r: made.append(len(r)) or true(r))
    told = {}
    for worth in (1, 64, 10_000):
        made.clear()
        monkeypatch.setattr(text_pipeline, "WORTH", worth)
        model = OWNER._model(state, state["tokens"])
        told[worth] = model.score(rows), model.generate(rows[:, :7], 3, 4), len(made)
    assert told[1][2] > 0 == told[10_000][2]
    for worth in (64, 10_000):
        np.testing.assert_allclose(told[1][0], told[worth][0], atol=1e-5)
        np.testing.assert_array_equal(told[1][1], told[worth][1])

"""Adapters declare their units, offer what they say, and answer alike in any batch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from hartley.core import Access, Data, Modality, Output
from hartley.core.costs import billed
from hartley.core.errors import UsageError
from hartley.kit import nets
from hartley.kit.fleet import Training
from hartley.models.pipeline import OPEN, Pipeline
from hartley.targets.sklearn import SklearnPipeline, from_sklearn
from hartley.targets.torch import from_torch
from hartley.testing import check_model

NET = nets.conv((1, 8, 8), 4, (3,), (5,))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))


def records(n=12):
    rng = np.random.default_rng(0)
    return Data("r", Modality.VISION, rng.random((n, 1, 8, 8), np.float32), rng.integers(0, 4, n))


def test_torch_adapter_keeps_to_what_it_declares():
    data = records()
    for output in (Output.LOGITS, Output.PROBABILITIES, Output.LABELS):
        model = from_torch(
            NET.module(),
            classes=4,
            output=output,
            offers=Access.LABELS | Access.SCORES | Access.GRADIENTS | Access.WEIGHTS,
        )
        assert model.output is output
        check_model(model, data.x)
    assert model.query(data.x[:0]).shape == (0,)


def test_gradient_is_that_of_each_records_own_loss():
    import torch

    data = records(4)
    torch.manual_seed(0)  # a kink of a ReLU within the step would make the difference quotient lie
    model = from_torch(
        NET.module(), classes=4, output=Output.LOGITS, offers=Access.SCORES | Access.GRADIENTS
    )
    assert model.grad is not None
    found = model.grad(data.x, data.y)

    def loss(x):
        z = model.query(x).astype(np.float64)
        return np.log(np.exp(z).sum(1)) - z[np.arange(len(x)), data.y]

    step = np.zeros_like(data.x)
    step[:, 0, 3, 4] = 1e-2
    slope = (loss(data.x + step) - loss(data.x - step)) / 2e-2
    np.testing.assert_allclose(found[:, 0, 3, 4], slope, atol=1e-3)


def test_units_are_never_guessed():
    with pytest.raises(UsageError, match="output must follow"):
        from_torch(torch.nn.Linear(3, 4), classes=4, gives=Output.EMBEDDINGS, output=Output.LABELS)


def test_sklearn_adapter_gives_every_class_a_column():
    from sklearn.naive_bayes import GaussianNB

    rng = np.random.default_rng(0)
    x, y = rng.random((40, 3)), rng.integers(0, 2, 40) * 2
    model = from_sklearn(GaussianNB().fit(x, y), classes=4)
    check_model(model, x)
    assert model.query(x).shape == (40, 4) and (model.query(x)[:, [1, 3]] == 0).all()
    with pytest.raises(UsageError, match="labels"):
        from_sklearn(GaussianNB().fit(x, y), classes=2)


def test_sklearn_models_depend_on_their_number_alone():
    from sklearn.ensemble import RandomForestClassifier

    data = records(30)
    include = np.random.default_rng(1).random((3, 30)) < 0.7
    pipeline = SklearnPipeline(RandomForestClassifier(n_estimators=5), 4)
    three = pipeline.fit(data, include, 7).query(data.x)
    again = pipeline.fit(data, include[:2], 7).query(data.x)
    assert np.array_equal(three[:2], again)
    assert not np.array_equal(three[0], three[1])


def test_what_was_trained_is_read_back_and_more_models_extend_it(monkeypatch):
    from hartley.models import pipeline as module

    data, trained = records(40), []
    inner = module.train
    monkeypatch.setattr(
        module, "train", lambda *a, **k: trained.append(len(a[3])) or inner(*a, **k)
    )
    include = np.random.default_rng(1).random((20, 40)) < 0.5
    pipeline = Pipeline(nets.dense((1, 8, 8), 4, (6,)), Training(epochs=2), offers=OPEN)
    first = pipeline.fit(data, include[:16], 3)
    assert trained == [16]
    both = pipeline.fit(data, include, 3)
    assert trained == [16, 4]
    np.testing.assert_array_equal(both.query(data.x)[:16], first.query(data.x))
    np.testing.assert_allclose(both.member(17).query(data.x), both.query(data.x)[17], atol=1e-5)
    pipeline.fit(data, include, 4)  # another seed is another fleet
    assert trained == [16, 4, 16, 4]
    check_model(both.member(0), data.x)


def test_the_adapter_of_the_extension_page_keeps_what_it_says():
    """It is tried again after a timeout, charges what it says, and is what it declares."""
    page = (Path(__file__).parents[2] / "docs" / "extend.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (block,) = [b for b in blocks if "def from_program" in b]
    names: dict = {}
    exec(compile(block, "extend.md", "exec"), names)

    class Program:
        failures = 1

        def predict(self, x):
            if self.failures:
                self.failures -= 1
                raise TimeoutError
            odds = np.exp(np.asarray(x)[:, :3])
            return odds / odds.sum(1, keepdims=True)

    model, other = (
        names["from_program"](Program(), classes=3, weights=weights) for weights in (b"1", b"2")
    )
    x = np.random.default_rng(0).random((10, 4))
    with billed() as bill:
        assert model.query(x).shape == (10, 3)
    assert bill.cost.money == pytest.approx(0.01)
    assert model.identity and model.identity != other.identity
    check_model(model, x)

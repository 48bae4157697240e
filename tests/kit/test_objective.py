"""A fleet trained for another objective: against the plain loop, and model by model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from hartley.core import Data, Modality
from hartley.core.errors import UsageError
from hartley.data.vision import digits
from hartley.kit import nets
from hartley.kit.fleet import Objective, Privacy, Training, train
from hartley.kit.fleet.objective import passes
from hartley.models.pipeline import Pipeline

DENSE = nets.dense((1, 8, 8), 10, (32, 16))
CONV = nets.conv((1, 8, 8), 10, channels=(4, 8), hidden=(16,))
NETS = pytest.mark.parametrize("net", [DENSE, CONV], ids=["dense", "conv"])


@pytest.fixture(scope="module")
def lesson():
    data = digits()
    include = np.random.default_rng(0).random((4, 200)) < 0.5
    include[2, 40:] = False
    include[3] = False
    return data.x[:200], data.y[:200], include, data.x[200:300]


@dataclass(frozen=True, slots=True)
class Plain(Objective):
    """The cross-entropy, by the other way."""

    shaped: ClassVar[bool] = True
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Shaken(Objective):
    """Reads everything that a loss may read."""

    shaped: ClassVar[bool] = True

    def extra(self, net: Any) -> dict[str, tuple[int, ...]]:
        return {"shift": (1, net.hidden[-1])}

    def loss(self, seen: Any) -> Any:
        import torch

        width = seen.hidden[-1].shape[2]
        logits = seen.head(seen.hidden[-1] + seen.extra["shift"] + 0.3 * seen.noise(width))
        late = (seen.epoch >= 1).float()
        own = -(seen.targets * torch.log_softmax(logits, 2)).sum(2).mean(1)
        return own + late * 0.01 * seen.inputs.square().mean() + late * 0.1 * own


@NETS
@pytest.mark.parametrize(
    "recipe",
    [Training(epochs=4), Training(epochs=4, batch=7, decay=0.1, anneal=True)],
    ids=["fixed", "annealed"],
)
def test_the_cross_entropy_as_an_objective_is_the_plain_loop(lesson, net, recipe):
    x, y, include, fresh = lesson
    oracle = train(net, x, y, include, recipe, seed=5, strategy="plain")
    shaped = train(net, x, y, include, recipe, seed=5, objective=Plain())
    assert shaped.facts["strategy"] == "shaped"
    assert np.abs(oracle.query(fresh)).max() > 0.1
    np.testing.assert_allclose(shaped.query(fresh), oracle.query(fresh), atol=2e-4)


@NETS
def test_a_model_is_the_same_alone_and_among_others(lesson, net):
    x, y, include, fresh = lesson
    recipe = Training(epochs=3)
    together = train(net, x, y, include, recipe, seed=1, objective=Shaken()).query(fresh)
    alone = train(net, x, y, include[1:2], recipe, seed=1, first=1, objective=Shaken())
    np.testing.assert_allclose(alone.query(fresh)[0], together[1], atol=1e-4)
    moved = train(net, x, y, include[1:2], recipe, seed=1, first=2, objective=Shaken())
    assert np.abs(moved.query(fresh)[0] - together[1]).max() > 1e-2
    plain = train(net, x, y, include, recipe, seed=1, precision="float32").query(fresh)
    assert np.abs(plain[:2] - together[:2]).max() > 2e-3
    np.testing.assert_array_equal(plain[3], together[3])  # no records, no step


@NETS
@pytest.mark.parametrize("strategy", ["batched", "loop", "plain"])
def test_every_model_may_have_targets_of_its_own(lesson, net, strategy):
    x, y, include, fresh = lesson
    rows = np.stack([np.eye(10)[(y + shift) % 10] for shift in range(4)])
    recipe = Training(epochs=3)
    whole = train(net, x, rows, include, recipe, strategy=strategy, precision="float32")
    for k in range(3):
        one = train(net, x, rows[k], include[k : k + 1], recipe, first=k, strategy=strategy,
                    precision="float32")  # fmt: skip
        np.testing.assert_allclose(whole.query(fresh)[k], one.query(fresh)[0], atol=1e-4)
    with pytest.raises(UsageError, match="targets"):
        train(net, x, rows[:2], include, recipe)


def test_objectives_key_the_cache_and_their_absence_changes_no_key(tmp_path, monkeypatch):
    monkeypatch.setenv("HARTLEY_CACHE", str(tmp_path))
    bare = Pipeline(DENSE, Training(epochs=1))
    assert "objective" not in bare.recipe
    keys = [bare.with_(objective=Plain(w)).recipe["objective"] for w in (1.0, 2.0)]
    assert keys[0] == {"name": "Plain", "version": 1, "weight": 1.0}
    assert keys[0] != keys[1]
    with pytest.raises(UsageError, match="got both"):
        bare.with_(objective=Plain(), private=Privacy(1.0, 1.0, 0.5, 2, 10.0))
    data = Data("d", Modality.VISION, digits().x[:60], digits().y[:60])
    include = np.ones((1, 60), bool)
    fits = [p.fit(data, include, 0) for p in (bare, bare.with_(objective=Shaken()))]
    assert not np.allclose(*(f.query(data.x) for f in fits))
    again = bare.with_(objective=Shaken()).fit(data, include, 0)
    assert again.facts["cached"]
    np.testing.assert_array_equal(again.query(data.x), fits[1].query(data.x))


def test_passes_follow_a_models_own_records():
    share = passes(Training(epochs=6, batch=10), np.array([60, 12, 0]))
    assert np.floor(share[0] * np.array([0, 9, 10, 59])).tolist() == [0, 0, 1, 5]
    assert np.floor(share[1] * np.array([0, 1, 2, 11])).tolist() == [0, 0, 1, 5]

"""The fleet against its oracle, the plain loop; and that a model depends on its number alone."""

from __future__ import annotations

import numpy as np
import pytest

from hartley.core.errors import RunError, UsageError
from hartley.data.vision import digits
from hartley.kit import nets
from hartley.kit.fleet import Training, choose_strategy, train
from hartley.kit.fleet.dense_training import SPARSE
from hartley.kit.fleet.training import batches, stream
from hartley.kit.fleet.workers import spread

DENSE = nets.dense((1, 8, 8), 10, (32, 16))
CONV = nets.conv((1, 8, 8), 10, channels=(4, 8), hidden=(16,))


@pytest.fixture(scope="module")
def lesson():
    data = digits()
    rng = np.random.default_rng(0)
    include = rng.random((6, 300)) < 0.5
    include[3, 40:] = False  # far fewer records than the others
    include[4] = False  # none at all
    return data.x[:300], data.y[:300], include, data.x[300:500]


RECIPES = [
    Training(epochs=5),
    Training(epochs=5, anneal=True),
    Training(epochs=5, batch=7, decay=0.1, anneal=True),
]


@pytest.mark.parametrize("net", [DENSE, CONV], ids=["dense", "conv"])
@pytest.mark.parametrize("strategy", ["batched", "loop"])
@pytest.mark.parametrize("recipe", RECIPES, ids=["fixed", "annealed", "decayed"])
def test_every_strategy_agrees_with_the_plain_loop(lesson, net, strategy, recipe):
    x, y, include, fresh = lesson
    oracle = train(net, x, y, include, recipe, seed=5, strategy="plain")
    fast = train(net, x, y, include, recipe, seed=5, strategy=strategy, precision="float32")
    assert fast.facts["strategy"] == strategy
    assert np.abs(oracle.query(fresh)).max() > 0.1
    np.testing.assert_allclose(fast.query(fresh), oracle.query(fresh), atol=2e-4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 9, 12), (3, 7, 1)])
@pytest.mark.parametrize("channels", [(4,), (3, 5, 4)])
def test_gradients_by_hand_agree_on_any_side_and_depth(shape, channels):
    net = nets.conv(shape, 3, channels, hidden=(6, 5) if len(channels) == 1 else ())
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, *shape)).astype(np.float32), rng.integers(0, 3, 40)
    include, recipe = np.ones((1, 40), bool), Training(epochs=10, batch=9, lr=1e-2, decay=0.1)
    oracle = train(net, x, y, include, recipe, strategy="plain")
    fast = train(net, x, y, include, recipe, strategy="loop", precision="float32")
    start = net.initial(stream(0, 0))
    for name, weight in oracle.weights.items():
        assert np.abs(weight[0] - start[name]).max() > 1e-3, name
        np.testing.assert_allclose(fast.weights[name], weight, atol=2e-4, err_msg=name)


@pytest.mark.parametrize("hidden", [(), (6,), (6, 5)])
@pytest.mark.parametrize("recipe", RECIPES, ids=["fixed", "annealed", "decayed"])
def test_records_that_are_nearly_all_zeros_are_learnt_as_by_the_plain_loop(hidden, recipe):
    rng = np.random.default_rng(3)
    x = np.where(rng.random((60, 400)) < 0.02, rng.normal(size=(60, 400)), 0).astype(np.float32)
    x[7] = 0  # a text without a word
    y, net = rng.integers(0, 3, 60), nets.dense((400,), 3, hidden)
    assert 0 < (x != 0).sum(1).max() * SPARSE <= 400
    include = rng.random((3, 60)) < 0.6
    include[1] = False  # none at all
    include[2, 30:] = False  # fewer than the others
    oracle = train(net, x, y, include, recipe, seed=5, strategy="plain")
    fast = train(net, x, y, include, recipe, seed=5)
    for name, weight in oracle.weights.items():
        np.testing.assert_allclose(fast.weights[name], weight, atol=2e-5, err_msg=name)
    start = net.initial(stream(5, 0))
    assert max(np.abs(oracle.weights[n][0] - start[n]).max() for n in start) > 3e-3
    alone = train(net, x, y, include[2:], recipe, seed=5, first=2)
    for name, weight in alone.weights.items():
        np.testing.assert_array_equal(weight[0], fast.weights[name][2], err_msg=name)


def test_the_plain_loop_learns_and_a_model_without_records_does_not(lesson):
    x, y, include, _ = lesson
    fleet = train(DENSE, x, y, include, Training(epochs=150), strategy="batched")
    right = fleet.query(x).argmax(2) == y
    assert right[0, include[0]].mean() > 0.97
    assert right[0, ~include[0]].mean() > 0.75
    assert right[4].mean() < 0.3


@pytest.mark.parametrize("net", [DENSE, CONV], ids=["dense", "conv"])
def test_a_model_is_the_same_alone_and_among_others(lesson, net):
    x, y, include, fresh = lesson
    recipe = Training(epochs=3)
    together = train(net, x, y, include, recipe, seed=1, strategy="batched").query(fresh)
    alone = train(net, x, y, include[2:3], recipe, seed=1, first=2, strategy="batched")
    np.testing.assert_allclose(alone.query(fresh)[0], together[2], atol=1e-4)
    moved = train(net, x, y, include[2:3], recipe, seed=1, first=3, strategy="batched")
    assert np.abs(moved.query(fresh)[0] - together[2]).max() > 1e-2


def test_workers_do_not_change_the_result(lesson):
    x, y, include, _ = lesson
    one = train(CONV, x, y, include[:2], Training(epochs=1), strategy="loop")
    two = train(CONV, x, y, include[:2], Training(epochs=1), strategy="loop", workers=2)
    for name, weight in one.weights.items():
        assert np.array_equal(weight, two.weights[name]), name


def test_bfloat16_learns_as_well_as_float32():
    data = digits()
    include = np.random.default_rng(3).random((6, 600)) < 0.5
    x, y = data.x[:600], data.y[:600]
    scores = {}
    for precision in ("float32", "bfloat16"):
        recipe = Training(epochs=25, lr=5e-3)
        fleet = train(CONV, x, y, include, recipe, strategy="loop", precision=precision)
        assert fleet.facts["precision"] == precision
        scores[precision] = (fleet.query(data.x[600:]).argmax(2) == data.y[600:]).mean(1)
    spread_ = scores["float32"].std(ddof=1) * np.sqrt(2 / 6)
    gap = abs(scores["float32"].mean() - scores["bfloat16"].mean())
    assert scores["float32"].mean() > 0.75
    assert gap < 3 * spread_ + 0.005


def test_soft_labels_are_learnt(lesson):
    x, y, include, _ = lesson
    hard = train(DENSE, x, y, include[:1], Training(epochs=3)).query(x)
    soft = train(DENSE, x, np.eye(10)[y], include[:1], Training(epochs=3)).query(x)
    flat = train(DENSE, x, np.full((300, 10), 0.1), include[:1], Training(epochs=30)).query(x)
    np.testing.assert_allclose(hard, soft, atol=1e-5)
    assert np.ptp(flat, axis=2).max() < 0.5 * np.ptp(hard, axis=2).max()


def test_batches_are_full_shuffled_and_the_models_own(lesson):
    include = lesson[2]
    order = batches(stream(0, 1), include[1], Training(epochs=3, batch=16))
    own = np.flatnonzero(include[1])
    assert order.shape == (round(3 * len(own) / 16), 16)
    assert sorted(order.reshape(-1)[: len(own)]) == list(own)  # one whole pass first
    assert not np.array_equal(order.reshape(-1)[: len(own)], own)
    counts = np.bincount(order.reshape(-1), minlength=300)
    assert counts[~include[1]].max() == 0 and counts[own].min() >= 2


def test_the_module_says_what_the_fleet_says(lesson):
    x, y, include, fresh = lesson
    for net in (DENSE, CONV):
        fleet = train(net, x, y, include[:3], Training(epochs=1), strategy="batched")
        module = fleet.module(2)
        assert sum(p.numel() for p in module.parameters()) == net.size
        assert list(module.state_dict()) == list(net.shapes)
        import torch

        with torch.no_grad():
            said = module(torch.from_numpy(fresh)).numpy()
        np.testing.assert_allclose(said, fleet.query(fresh)[2], atol=1e-4)


def test_the_rule():
    assert choose_strategy(DENSE, "cpu") == "batched"
    assert choose_strategy(CONV, "cpu") == "loop"
    assert choose_strategy(DENSE, "cuda") == choose_strategy(CONV, "cuda:1") == "batched"
    assert choose_strategy(CONV, "cpu", "plain") == "plain"


@pytest.mark.parametrize(
    "wrong",
    [
        {"strategy": "fast"},
        {"precision": "float8"},
        {"include": np.ones((2, 7), bool)},
        {"include": np.ones((0, 300), bool)},
        {"y": np.full(300, 10)},
        {"x": np.zeros((300, 64), np.float32)},
    ],
    ids=lambda w: next(iter(w)),
)
def test_wrong_calls_are_usage_errors(lesson, wrong):
    x, y, include, _ = lesson
    call = {"x": x, "y": y, "include": include, **wrong}
    with pytest.raises(UsageError):
        train(DENSE, training=Training(epochs=1), **call)


def test_a_worker_that_dies_is_a_run_error():
    with pytest.raises(RunError, match="died"):
        spread(_die, None, [1, 2], workers=2)


def _die(shared, part):
    import os

    os._exit(1)

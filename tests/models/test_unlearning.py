"""Unlearning: exact retraining, the limit of NPO, and a leak the other way round."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hartley import catalog
from hartley.channel.measure import measure
from hartley.core.errors import UsageError
from hartley.engine.run.play import play
from hartley.kit.nets import dense
from hartley.models.unlearning import Forget, Unlearning
from hartley.scenes.unlearned_digits import unlearned_digits

FEW: dict[str, Any] = {"forgotten": 20, "epochs": 20}


def _answers(method: Any, coins: np.ndarray) -> np.ndarray:
    scene = unlearned_digits(method=method, **FEW)
    assert scene.fit is not None
    return scene.fit(scene.extra["pool"], coins, 5).query(scene.extra["test"].x)


def test_a_net_that_is_retrained_does_not_depend_on_what_was_to_be_forgotten():
    coins = np.random.default_rng(0).random((2, 40)) < 0.5
    other = ~coins
    assert np.array_equal(_answers("retrain", coins), _answers("retrain", other))
    assert not np.allclose(_answers("none", coins), _answers("none", other), atol=1e-3)


def test_for_a_small_beta_the_slope_of_npo_is_that_of_gradient_difference():
    """As the paper says of the limit β → 0 (arXiv:2404.05868, proposition 1)."""
    import torch

    rng = np.random.default_rng(0)
    form = dense((6,), 3, (8,))
    x = torch.from_numpy(rng.standard_normal((30, 6)).astype(np.float32))
    y = torch.from_numpy(rng.integers(0, 3, 30))
    slopes = []
    for method, beta in (("gradient_difference", 0.5), ("npo", 1e-4), ("npo", 5.0)):
        module = form.module(form.initial(np.random.default_rng(1)))
        loss = Forget(10, Unlearning(method, beta=beta))._loss(module, x, y)
        with torch.no_grad():  # a step away from the net before
            for weight in module.parameters():
                weight.add_(0.05 * torch.sign(weight))
        loss(torch.arange(10), torch.arange(10, 30)).backward()
        slopes.append(np.concatenate([p.grad.numpy().ravel() for p in module.parameters()]))
    scale = np.abs(slopes[0]).max()
    np.testing.assert_allclose(slopes[1], slopes[0], atol=1e-3 * scale)
    assert np.abs(slopes[2] - slopes[0]).max() > 1e-2 * scale


def test_what_is_forgotten_for_too_long_leaks_the_other_way_round():
    scene = unlearned_digits(method="npo", passes=50, **FEW)
    trials = play(catalog.load("attack", "loss_threshold"), scene, seed=0,
                  game_params={"rounds": 8})  # fmt: skip
    channel = measure(trials)
    auc, sided = (channel.metrics[name] for name in ("auc", "auc_two_sided"))
    assert auc["high"] < 0.5 < sided["low"] and sided["value"] == pytest.approx(1 - auc["value"])
    assert channel.bits.value > 0.02, "below ½ is a leak too"


@pytest.mark.parametrize("change", [{"method": "hope"}, {"passes": 0}, {"rate": 0.0}, {"beta": 0}])
def test_unlearning_that_cannot_be_is_refused(change: Any):
    with pytest.raises(UsageError):
        Unlearning(**change)

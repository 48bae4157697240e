"""MID: what passes the bottleneck costs, so less of it passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hartley.core.errors import RunError
from hartley.defenses.noise.mid import Bottleneck, divergence, mid
from hartley.kit.fleet import Training, train
from hartley.kit.nets import dense


def test_the_divergence_is_that_of_two_normals():
    mean, log = torch.tensor([[[0.3, -1.2]]]), torch.tensor([[[0.4, -0.7]]])
    law = torch.distributions.Normal(mean, log.exp())
    true = torch.distributions.kl_divergence(law, torch.distributions.Normal(0.0, 1.0)).sum(2)
    torch.testing.assert_close(divergence(mean, log), true)


def passed(net, fleet, x) -> float:
    """Mean square of what the last layer reads: the part of the divergence that answers follow."""
    weights = {n: torch.from_numpy(w[0]) for n, w in fleet.weights.items()}
    first = net.steps[0][1]
    rows = torch.from_numpy(x).flatten(1)
    hidden = torch.relu(rows @ weights[f"{first}.weight"].T + weights[f"{first}.bias"])
    return float(hidden.square().sum(1).mean())


def test_the_price_narrows_the_bottleneck(tiny):
    data = tiny.part("d", 0, 150)
    include, recipe = np.ones((1, 150), bool), Training(epochs=40, batch=16, lr=3e-3)
    power, right = {}, {}
    for beta in (0.0, 0.05, 5.0):
        fleet = train(
            tiny.DENSE, data.x, data.y, include, recipe, seed=1, objective=Bottleneck(beta)
        )
        power[beta] = passed(tiny.DENSE, fleet, data.x)
        right[beta] = (fleet.query(data.x)[0].argmax(1) == data.y).mean()
    plain = passed(tiny.DENSE, train(tiny.DENSE, data.x, data.y, include, recipe, seed=1), data.x)
    assert power[0.05] < 0.5 * min(plain, power[0.0])
    assert power[5.0] < 0.01 * plain
    assert right[0.0] > 0.97 and right[0.05] > 0.9 > 0.5 > right[5.0]


def test_the_noise_is_learnt_and_is_a_models_own(tiny):
    data = tiny.part("d", 0, 60)
    include, recipe = np.ones((2, 60), bool), Training(epochs=3, batch=16)
    fleet = train(tiny.DENSE, data.x, data.y, include, recipe, objective=Bottleneck(0.01))
    one = train(tiny.DENSE, data.x, data.y, include[1:], recipe, first=1,
                objective=Bottleneck(0.01))  # fmt: skip
    np.testing.assert_allclose(fleet.query(data.x)[1], one.query(data.x)[0], atol=1e-4)
    assert set(fleet.weights) == set(tiny.DENSE.shapes)  # the noise layer is thrown away


def test_a_net_without_a_hidden_layer_is_refused(tiny):
    flat = tiny.scene(dense((1, 8, 8), 10, ()), epochs=1, n=40)
    with pytest.raises(RunError, match="must have a hidden layer"):
        mid(flat, tiny.rng())

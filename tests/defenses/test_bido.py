"""BiDO: the two dependencies are HSIC, and training moves each the way it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hartley.defenses.signal.bido import WIDTH, Bilateral, bido, centred, hsic, kernel
from hartley.engine.defend import defended
from hartley.kit.fleet import Training, train


def gram(z: np.ndarray) -> np.ndarray:
    apart = ((z[:, None] - z[None]) ** 2).sum(2)
    return np.exp(-apart / (2 * z.shape[1] * WIDTH**2))


def plain_hsic(x: np.ndarray, z: np.ndarray) -> float:
    """tr(K H L H) / (m − 1)², as it is defined."""
    m = len(x)
    h = np.eye(m) - 1 / m
    return float(np.trace(gram(x) @ h @ gram(z) @ h) / (m - 1) ** 2)


def test_it_is_hsic(tiny):
    rng = tiny.rng(2)
    x, z = rng.random((3, 12, 5)), rng.random((3, 12, 4))
    got = hsic(centred(torch.from_numpy(x)), kernel(torch.from_numpy(z)))
    np.testing.assert_allclose(got, [plain_hsic(a, b) for a, b in zip(x, z, strict=True)])
    same = np.concatenate([x[0, :, :2], x[0, :, 2:4]], 1)
    assert plain_hsic(x[0], same) > 2 * plain_hsic(x[0], rng.permutation(z[0]))


def dependencies(fleet, x, y) -> tuple[float, float]:
    """HSIC of the hidden layer with the records and with the labels."""
    weights = {n: w[0] for n, w in fleet.weights.items()}
    first = fleet.net.steps[0][1]
    rows = x.reshape(len(x), -1)
    hidden = np.maximum(rows @ weights[f"{first}.weight"].T + weights[f"{first}.bias"], 0)
    return plain_hsic(rows, hidden), plain_hsic(np.eye(10)[y], hidden)


def test_training_moves_each_dependency_its_way(tiny):
    data = tiny.part("d", 0, 150)
    include, recipe = np.ones((1, 150), bool), Training(epochs=40, batch=32, lr=3e-3)

    def seen(objective):
        fleet = train(tiny.DENSE, data.x, data.y, include, recipe, seed=1, objective=objective)
        return dependencies(fleet, data.x, data.y)

    plain, apart, together = seen(None), seen(Bilateral(50.0, 0.0)), seen(Bilateral(0.0, 500.0))
    assert apart[0] < 0.7 * plain[0]
    assert together[1] > 1.1 * plain[1]
    both = seen(Bilateral(500.0, 500.0))
    assert both[1] / both[0] > 1.2 * plain[1] / plain[0]


def test_the_strongest_setting_leaves_nothing_to_read(tiny):
    shielded = defended(tiny.scene(epochs=20), bido, bido.strongest)
    made, _, pool = tiny.victims(shielded, 1)
    assert (made.query(pool.x)[0].argmax(1) == pool.y).mean() < 0.9
    assert shielded.defenses[-1].params["apart"] == pytest.approx(1e4)

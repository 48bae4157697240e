"""DP-SGD in closed form against Opacus on the same inputs, and the numbers of the guarantee."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from hartley.kit import nets
from hartley.kit.fleet import Privacy, train_private
from hartley.kit.fleet.dense_training import flatten, zip_names
from hartley.kit.fleet.dp_training import add_noise, clipped_sums

NET = nets.dense((1, 6, 6), 5, (12, 8))


def opacus_sums(net, start, x, y, clip):
    """One step's clipped sum by Opacus' module and optimiser, without noise."""
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    module = GradSampleModule(net.module(start), loss_reduction="sum")
    optimiser = DPOptimizer(
        torch.optim.SGD(module.parameters(), lr=1.0),
        noise_multiplier=0.0,
        max_grad_norm=clip,
        expected_batch_size=None,
        loss_reduction="sum",
    )
    with warnings.catch_warnings():
        # torch warns that Opacus' backward hook stands on the first layer, whose input has no
        # gradient; that is how Opacus works.
        warnings.simplefilter("ignore")
        torch.nn.functional.cross_entropy(module(x), y, reduction="sum").backward()
    optimiser.pre_step()
    return {n: p.grad.clone() for n, p in module._module.named_parameters()}


@pytest.mark.parametrize("clip", [0.05, 0.7, 100.0])
def test_closed_form_clips_as_opacus_does(clip):
    rng = np.random.default_rng(0)
    starts = [NET.initial(np.random.default_rng(k)) for k in range(3)]
    x = torch.from_numpy(rng.random((3, 20, 36), dtype=np.float32))
    y = torch.from_numpy(rng.integers(0, 5, (3, 20)))
    present = torch.ones(3, 20, 1)
    present[1, 13:] = 0  # a model with fewer records in its batch
    _, weights = flatten(NET, starts, x.device)
    _, grads = flatten(NET, starts, x.device)
    wanted = torch.eye(5)[y]
    with torch.no_grad():
        clipped_sums(weights, grads, x, wanted, present=present, clip=clip)
    for k in range(3):
        count = int(present[k].sum())
        rows = x[k, :count].view(-1, 1, 6, 6)
        theirs = opacus_sums(NET, starts[k], rows, y[k, :count], clip)
        for name, ours in zip_names(NET, grads):
            torch.testing.assert_close(ours[k], theirs[name], atol=1e-5, rtol=1e-4)


def test_the_whole_training_is_opacus_own():
    """Both trainers on one net: at rate 1 the batches are equal, so the weights must be."""
    rng = np.random.default_rng(1)
    x, y = rng.random((30, 1, 6, 6), dtype=np.float32), rng.integers(0, 5, 30)
    privacy = Privacy(noise=0.0, clip=0.5, rate=1.0, steps=6, expected=30.0, lr=0.01)
    ours = train_private(NET, x, y, np.ones((1, 30), bool), privacy, seed=2)
    from hartley.kit.fleet.dp_training import _opacus, _Work
    from hartley.kit.fleet.fleet import targets_of
    from hartley.kit.fleet.training import stream

    r = stream(2, 0)
    start = NET.initial(r)
    work = _Work(NET, x, targets_of(y, 5), privacy, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = _opacus(work, start, np.arange(30), r)
    for name, weight in theirs.items():
        np.testing.assert_allclose(ours.weights[name][0], weight, atol=2e-4)
        assert np.abs(weight - start[name]).max() > 1e-3


def test_noise_has_the_size_it_should_and_is_every_models_own():
    starts = [NET.initial(np.random.default_rng(0))] * 40
    flat, views = flatten(NET, starts, torch.device("cpu"))
    flat.zero_()
    add_noise(views, [np.random.default_rng(k) for k in range(40)], 2.5)
    per_model = torch.cat([v.reshape(40, -1) for v in views], 1).numpy()
    assert per_model.shape == (40, NET.size)
    n = per_model.size
    assert abs(per_model.std() / 2.5 - 1) < 4 / np.sqrt(2 * n)
    assert abs(per_model.mean()) < 4 * 2.5 / np.sqrt(n)
    shared = np.corrcoef(per_model)[~np.eye(40, dtype=bool)]
    assert np.abs(shared).max() < 6 / np.sqrt(NET.size)


def test_noise_reaches_the_weights():
    x, y, nobody = np.zeros((4, 1, 6, 6), np.float32), np.zeros(4, int), np.zeros((1, 4), bool)
    still = train_private(NET, x, y, nobody, Privacy(0.0, 1.0, 0.5, 3, 2.0))
    noisy = train_private(NET, x, y, nobody, Privacy(3.0, 1.0, 0.5, 3, 2.0))
    for name, weight in still.weights.items():
        assert (np.abs(noisy.weights[name] - weight) > 0).mean() > 0.99, name


def test_a_private_model_is_the_same_alone_and_among_others():
    rng = np.random.default_rng(4)
    x, y = rng.random((40, 1, 6, 6), dtype=np.float32), rng.integers(0, 5, 40)
    include = rng.random((20, 40)) < 0.5
    privacy = Privacy(noise=1.0, clip=1.0, rate=0.5, steps=10, expected=10.0, lr=0.01)
    together = train_private(NET, x, y, include, privacy, seed=9)
    alone = train_private(NET, x, y, include[17:18], privacy, seed=9, first=17)
    np.testing.assert_allclose(alone.query(x)[0], together.query(x)[17], atol=1e-4)

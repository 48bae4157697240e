"""Directions of the residual stream: what they are, and weights that write nothing along one."""

import numpy as np
import pytest
import torch

from hartley.kit.language import gpt
from hartley.kit.language.residual_directions import directions, streams, without

SHAPE = gpt.Shape(vocabulary=40, width=16, layers=3, heads=2, context=12)


@pytest.fixture(scope="module")
def weights():
    drawn = gpt.initial(SHAPE, torch.Generator().manual_seed(0))
    return {name: tensor.numpy() for name, tensor in drawn.items()}


def rows(n, seed):
    drawn = np.random.default_rng(seed).integers(0, SHAPE.vocabulary, (n, 9))
    drawn[: n // 2, 6:] = -1
    return drawn


def test_the_stream_behind_the_last_layer_gives_the_next_token(weights):
    from hartley.kit.language.gpt_decode import continued

    some = rows(6, 1)
    behind = streams(weights, SHAPE, some)
    assert behind.shape == (SHAPE.layers, 6, SHAPE.width)
    last = behind[-1] / np.sqrt((behind[-1] ** 2).mean(1, keepdims=True)) * weights["norm"]
    state = {name: torch.from_numpy(array) for name, array in weights.items()}
    nexts = continued(state, SHAPE, some, 1, -1, stop=-1)[:, 0]
    assert np.array_equal((last @ weights["tokens"].T).argmax(1), nexts)


def test_a_direction_is_the_unit_difference_of_the_means(weights):
    ones, others = rows(20, 2), rows(30, 3)
    got = directions(weights, SHAPE, ones, others)
    a, b = (streams(weights, SHAPE, some) for some in (ones, others))
    assert np.allclose(np.linalg.norm(got.units, axis=1), 1)
    for layer, unit in enumerate(got.units):
        apart = a[layer].mean(0) - b[layer].mean(0)
        assert unit @ apart == pytest.approx(np.linalg.norm(apart))
        spread = np.sqrt((a[layer] @ unit).var() + (b[layer] @ unit).var())
        assert got.apart[layer] == pytest.approx(np.linalg.norm(apart) / spread)


def test_nothing_is_written_along_what_is_taken_out(weights):
    unit = np.random.default_rng(4).standard_normal(SHAPE.width).astype(np.float32)
    unit /= np.linalg.norm(unit)
    whole = streams(weights, SHAPE, rows(8, 5)) @ unit
    assert np.abs(whole).max() > 0.01
    cut = without(weights, unit)
    assert np.abs(streams(cut, SHAPE, rows(8, 5)) @ unit).max() < 1e-5
    half = without(weights, unit, 0.5)
    for name in ("tokens", "1.out", "2.down"):
        assert np.allclose(half[name], (weights[name] + cut[name]) / 2, atol=1e-6)
    assert all(cut[name] is weights[name] for name in ("norm", "0.qkv", "0.up"))


def test_tensors_keep_the_gradient_of_the_direction(weights):
    state = {name: torch.from_numpy(array) for name, array in weights.items()}
    unit = torch.ones(SHAPE.width, requires_grad=True)
    cut = without(state, unit / unit.norm())
    plain = without(weights, np.full(SHAPE.width, SHAPE.width**-0.5, np.float32))
    assert np.allclose(cut["0.out"].detach(), plain["0.out"], atol=1e-6)
    cut["0.out"].square().sum().backward()
    assert unit.grad.abs().sum() > 0

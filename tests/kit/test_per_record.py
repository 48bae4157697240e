"""DP-SGD of any torch module: its steps are plain ones without noise, and the house's with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from hartley.core.errors import UsageError
from hartley.kit.fleet import Privacy, train_private
from hartley.kit.fleet.dp_training import drawn
from hartley.kit.fleet.training import stream
from hartley.kit.nets import dense
from hartley.kit.per_record import train_by_record

N, SHAPE, CLASSES = 40, (1, 6, 6), 3


@pytest.fixture
def records():
    rng = np.random.default_rng(0)
    return rng.normal(size=(N, *SHAPE)).astype(np.float32), rng.integers(0, CLASSES, N)


def loss(answers, labels):
    return F.cross_entropy(answers, labels, reduction="sum")


def cnn(*layers):
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), *layers, nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES)
    )


class Recurrent(nn.Module):
    """A layer that torch.func cannot map over records."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.cell, self.head = nn.LSTM(6, 8, batch_first=True), nn.Linear(8, CLASSES)

    def forward(self, x):
        return self.head(self.cell(x[:, 0])[0][:, -1])


def plain_steps(module, x, y, privacy, rng):
    optimiser = torch.optim.AdamW(module.parameters(), lr=privacy.lr, weight_decay=0.0)
    for _ in range(privacy.steps):
        rows = drawn(np.arange(len(x)), rng, privacy.rate)
        optimiser.zero_grad()
        (loss(module(torch.tensor(x[rows])), torch.tensor(y[rows])) / privacy.expected).backward()
        optimiser.step()


@pytest.mark.parametrize("make", [lambda: cnn(nn.GroupNorm(2, 4)), Recurrent])
def test_without_noise_and_with_a_wide_clip_it_takes_the_steps_of_plain_training(records, make):
    x, y = records
    privacy = Privacy(noise=0.0, clip=1e9, rate=0.4, steps=12, expected=16.0, lr=0.02)
    private, plain = make(), make()
    how = train_by_record(private, x, y, privacy, np.random.default_rng(1), loss=loss)
    plain_steps(plain, x, y, privacy, np.random.default_rng(1))
    assert how == ("loop" if make is Recurrent else "vmap")
    for own, other in zip(private.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(own, other, atol=2e-5, rtol=1e-4)


def test_a_dense_net_takes_the_steps_of_the_house_with_the_same_noise(records):
    """Two implementations, one by outer products and one by torch.func, from the same stream."""
    x, y = records
    net = dense(SHAPE, CLASSES, (8,))
    privacy = Privacy(noise=1.3, clip=0.7, rate=0.4, steps=10, expected=16.0, lr=0.02)
    fleet = train_private(net, x, y, np.ones((1, N), bool), privacy, seed=5)
    rng = stream(5, 0)
    module = net.module(net.initial(rng))
    train_by_record(module, x, y, privacy, rng, loss=loss)
    answers = module(torch.tensor(x)).detach().numpy()
    np.testing.assert_allclose(answers, fleet.query(x)[0], atol=2e-3)


def test_no_record_moves_a_step_by_more_than_the_clip(records):
    """Only the mean of the clipped gradients reaches the weights: one record gives at most it."""
    x, y = records
    privacy = Privacy(noise=0.0, clip=0.01, rate=1.0, steps=1, expected=1.0, lr=1.0)
    moved = []
    for rows in (np.arange(N), np.arange(N - 1)):
        module = cnn()
        seen: list[torch.Tensor] = []
        step = torch.optim.AdamW.step

        def read(self, *rest, seen=seen, step=step):
            weights = self.param_groups[0]["params"]
            seen.append(torch.cat([w.grad.flatten() for w in weights]).clone())
            return step(self, *rest)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.optim.AdamW, "step", read)
            train_by_record(
                module, 50 * x[rows], y[rows], privacy, np.random.default_rng(1), loss=loss
            )
        moved.append(seen[0])
    apart = float((moved[0] - moved[1]).norm())
    assert 0.009 < apart <= 0.01 + 1e-6


def test_each_record_meets_a_dropout_of_its_own_and_frozen_weights_stay(records):
    x, y = records
    module = cnn(nn.Dropout(0.5))
    module[0].requires_grad_(False)
    before = module[0].weight.clone()
    privacy = Privacy(noise=0.5, clip=1.0, rate=0.5, steps=3, expected=20.0, lr=0.1)
    assert train_by_record(module, x, y, privacy, np.random.default_rng(1), loss=loss) == "vmap"
    assert torch.equal(module[0].weight, before)
    assert all(torch.isfinite(p).all() for p in module.parameters())


class Counts(nn.Module):
    """Keeps the mean of what it read in a buffer, out of reach of the noise."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(36, CLASSES)
        self.register_buffer("mean", torch.zeros(36))

    def forward(self, x):
        flat = x.flatten(1)
        if self.training:
            self.mean = flat.detach().mean(0)
        return self.head(flat - self.mean)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: cnn(nn.BatchNorm2d(4)), r"1 \(BatchNorm2d\) keeps statistics"),
        (lambda: cnn(nn.InstanceNorm2d(4, track_running_stats=True)), "InstanceNorm2d"),
        (Counts, "mean keeps something of the records"),
    ],
)
def test_a_layer_that_carries_records_past_the_noise_is_refused(records, make, words):
    privacy = Privacy(noise=1.0, clip=1.0, rate=0.5, steps=1, expected=20.0)
    with pytest.raises(UsageError, match=words):
        train_by_record(make(), *records, privacy, np.random.default_rng(1), loss=loss)

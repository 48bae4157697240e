"""A client's step against an independent gradient, and what it proves and does not reveal."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hartley.attacks.model_to_data.inversion._shared import gradient_leaks, gradient_matching
from hartley.core.errors import UsageError
from hartley.defenses.bandwidth.hamp import Doubtful
from hartley.defenses.noise.mid import Bottleneck
from hartley.defenses.signal.bido import Bilateral
from hartley.defenses.signal.label_smoothing import Smoothed
from hartley.defenses.signal.relax_loss import Relaxed
from hartley.defenses.signal.selena import Distilled
from hartley.games.inversion.client_step import KnownStep, Step
from hartley.kit.fleet import Privacy, Training, train
from hartley.kit.nets import conv, dense

DENSE, CONV = dense((1, 8, 8), 10, (32, 16)), conv((1, 8, 8), 10, channels=(4, 8), hidden=(16,))
NETS = pytest.mark.parametrize("net", [DENSE, CONV], ids=["dense", "conv"])


def _batch(net, size: int = 3, seed: int = 0):
    rng = np.random.default_rng(seed)
    x = rng.random((size, *net.inputs), dtype=np.float32)
    return net.initial(rng), x, rng.integers(0, net.classes, size), rng


def _by_torch(net, weights, x, targets) -> dict[str, np.ndarray]:
    """The gradient of the mean cross-entropy, through torch's own module and loss."""
    module = net.module(weights)
    loss = F.cross_entropy(module(torch.from_numpy(x)), torch.from_numpy(targets))
    loss.backward()
    return {n: p.grad.numpy() for n, p in module.named_parameters()}


@NETS
def test_a_plain_step_and_one_on_other_targets_are_torchs(net) -> None:
    weights, x, y, rng = _batch(net)
    hard = np.eye(10, dtype=np.float32)[y]
    for objective, targets in ((None, hard), (Smoothed(0.3), 0.7 * hard + np.float32(0.03))):
        sent = Step(net, objective).update(weights, x, y, rng)
        due = _by_torch(net, weights, x, targets)
        assert set(sent) == set(due)
        for name, array in due.items():
            np.testing.assert_allclose(sent[name], array, atol=1e-6)


@NETS
def test_a_private_step_clips_each_record_and_blurs_the_sum(net) -> None:
    weights, x, y, rng = _batch(net, 4)
    privacy = Privacy(noise=0.0, clip=0.8, rate=0.5, steps=2, expected=9.0)
    sent = Step(net, private=privacy).update(weights, x, y, rng)
    norms, total = [], {n: np.zeros(s) for n, s in net.shapes.items()}
    for i in range(4):
        own = _by_torch(net, weights, x[[i]], np.eye(10, dtype=np.float32)[y[[i]]])
        norms.append(np.sqrt(sum((g**2).sum() for g in own.values())))
        for name, g in own.items():
            total[name] += g * min(1.0, 0.8 / norms[-1]) / 4
    assert min(norms) > 0.8
    for name, array in total.items():
        np.testing.assert_allclose(sent[name], array, atol=1e-6)
    noisy = Privacy(noise=3.0, clip=0.8, rate=0.5, steps=2, expected=9.0)
    blurred = Step(net, private=noisy).update(weights, x, y, rng)
    blur = np.concatenate([(blurred[n] - sent[n]).reshape(-1) for n in sent])
    assert blur.std() == pytest.approx(3.0 * 0.8 / 4, rel=0.1)
    assert Step(net, private=noisy).rho == pytest.approx(2 / 9)
    assert Step(net, private=privacy).rho is None
    assert Step(net).rho is None


@NETS
@pytest.mark.parametrize(
    "objective",
    [Bottleneck(0.1), Bilateral(5.0, 20.0), Doubtful(0.6, 0.1), Relaxed(5.0)],
    ids=lambda one: type(one).__name__,
)
def test_a_step_is_the_one_that_the_fleet_takes(net, objective) -> None:
    """Adam's first step has the sign of the gradient, entry by entry."""
    _, x, y, _ = _batch(net, 8)
    one = Training(epochs=1, batch=8, lr=1e-4)
    include, base = np.ones((1, 8), bool), np.zeros((1, 8), bool)
    start = {n: w[0] for n, w in train(net, x, y, base, one, seed=4).weights.items()}
    fleet = train(net, x, y, include, one, seed=4, objective=objective)
    after = {n: w[0] for n, w in {**fleet.weights, **fleet.extra}.items()}
    step = Step(net, objective)
    start |= {n: np.zeros(s, np.float32) for n, s in step.extra.items()}
    assert set(after) == set(start)
    mild, fits = [], []
    for seed in range(4):  # the noise of a bottleneck is another one each time
        sent = step.update(start, x, y, np.random.default_rng(seed))
        for name, g in sent.items():
            moved = after[name] - start[name]
            large = np.abs(g) > 0.2 * np.abs(g).max()
            mild.append(np.abs(moved).max())
            fits.append((np.sign(g[large]) == -np.sign(moved[large])).mean())
    assert 0.5e-4 < np.mean(mild) < 2e-4
    assert np.mean(fits) > (0.8 if step.extra else 0.99)


def test_one_record_alone_has_no_dependencies_to_price() -> None:
    weights, x, y, rng = _batch(DENSE, 1)
    sent = Step(DENSE, Bilateral(5.0, 20.0)).update(weights, x, y, rng)
    plain = Step(DENSE).update(weights, x, y, rng)
    for name, array in plain.items():
        np.testing.assert_allclose(sent[name], array, atol=1e-7)


def test_the_noise_of_a_step_is_its_own_and_can_be_searched() -> None:
    weights, x, y, _ = _batch(DENSE, 2)
    step = Step(DENSE, Bottleneck(0.1))
    weights = {**weights, **{n: np.zeros(s, np.float32) for n, s in step.extra.items()}}
    sent, again, other = (
        step.update(weights, x, y, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert all(np.array_equal(sent[n], again[n]) for n in sent)
    assert not np.allclose(sent["1.weight"], other["1.weight"])
    drawn = np.random.default_rng(1).standard_normal((1, 2, 16), np.float32)
    known = KnownStep(step, {n: weights[n] for n in step.extra})
    net = {n: weights[n] for n in DENSE.shapes}
    gap = gradient_matching.GradientObjective(DENSE, net, sent, _squares, batch=2, known=known)
    assert [tuple(one.shape) for one in gap.free] == [(1, 2, 16)]
    there = torch.from_numpy(x), torch.from_numpy(y)
    away = float(gap(*there).detach())
    gap.free[0].data.copy_(torch.from_numpy(drawn))
    assert float(gap(*there).detach()) < 1e-9 < 1e-4 < away
    gap.reset()
    assert float(gap(*there).detach()) == pytest.approx(away)


@NETS
def test_who_knows_the_clip_matches_a_clipped_step_exactly(net) -> None:
    weights, x, y, rng = _batch(net, 2)
    step = Step(net, private=Privacy(noise=0.0, clip=0.3, rate=0.5, steps=2, expected=9.0))
    sent = step.update(weights, x, y, rng)
    there = torch.from_numpy(x).requires_grad_(), torch.from_numpy(y)
    gaps = [
        gradient_matching.GradientObjective(net, weights, sent, _squares, batch=2, known=known)(
            *there
        )
        for known in (KnownStep(step, {}), None)
    ]
    assert float(gaps[0].detach()) < 1e-9 < 1e-3 < float(gaps[1].detach())
    assert there[0].grad is None
    away = (1 - there[0]), there[1]
    known = KnownStep(step, {})
    gap = gradient_matching.GradientObjective(net, weights, sent, _squares, batch=2, known=known)
    (slope,) = torch.autograd.grad(gap(*away), there[0])
    assert float(slope.abs().max()) > 0  # the clipped step can be followed back to the records


def _squares(a, b):
    return sum(((p - q) ** 2).sum() for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("objective", [Smoothed(-0.05), Smoothed(0.6), Doubtful(0.6, 0.01)])
def test_who_knows_the_targets_reads_the_labels_off_the_last_bias(objective) -> None:
    step = Step(DENSE, objective)
    known = KnownStep(step, {})
    for seed in range(5):
        for size in (1, 3):
            weights, x, y, rng = _batch(DENSE, size, seed)
            said = Step(DENSE).net.forward(
                {n: torch.from_numpy(w) for n, w in weights.items()}, torch.from_numpy(x)
            )
            sent = step.update(weights, x, y, rng)
            mean = said.softmax(1).mean(0).numpy()
            read = gradient_leaks.labels(sent, DENSE, size, mean, known)
            assert read.tolist() == np.sort(y).tolist()


def test_the_label_of_a_record_that_is_surer_than_its_target_is_read_by_who_knows() -> None:
    weights, x, y, rng = _batch(DENSE, 1)
    last = f"{DENSE.steps[-1][1]}.bias"
    weights[last][int(y[0])] += 6.0  # the net is surer of it than it shall be
    step = Step(DENSE, Smoothed(0.6))
    sent, mean = step.update(weights, x, y, rng), np.full(10, 0.1)
    known = KnownStep(step, {})
    assert gradient_leaks.labels(sent, DENSE, 1, mean, known).tolist() == y.tolist()
    assert gradient_leaks.labels(sent, DENSE, 1, mean).tolist() != y.tolist()


def test_a_client_cannot_be_taught_by_models_of_everybodys_records() -> None:
    weights, x, y, rng = _batch(DENSE)
    assert not Distilled.alone
    with pytest.raises(UsageError, match="whole data set"):
        Step(DENSE, Distilled(4, 2)).update(weights, x, y, rng)

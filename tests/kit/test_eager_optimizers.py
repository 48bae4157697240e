"""Optimizers without torch's compiler move weights to the last bit as those of torch.optim do."""

from __future__ import annotations

import subprocess
import sys

import pytest

from hartley.kit.eager_optimizers import eager

torch = pytest.importorskip("torch")

CASES = {
    "Adam": {"lr": 0.03, "betas": (0.5, 0.9)},
    "AdamW": {"lr": 0.03, "weight_decay": 0.1},
    "SGD": {"lr": 0.1, "momentum": 0.9},
    "LBFGS": {"lr": 1.0, "line_search_fn": "strong_wolfe", "max_iter": 5},
}


def trained(kind, settings):
    """Weights after 15 steps with a schedule of learning rates."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(30, 5, generator=random)
    weights = [torch.randn(5, 4, generator=random), torch.randn(4, 1, generator=random)]
    for weight in weights:
        weight.requires_grad_()
    optimiser = kind(weights, **settings)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 20)

    def loss():
        optimiser.zero_grad()
        error = (torch.tanh(x @ weights[0]) @ weights[1] - x[:, :1] ** 2).square().mean()
        error.backward()
        return error

    for _ in range(15):
        optimiser.step(loss)
        schedule.step()
    return torch.cat([weight.detach().flatten() for weight in weights])


@pytest.mark.parametrize("name", CASES)
def test_weights_are_those_of_torch_to_the_last_bit(name):
    ours = trained(eager(name), CASES[name])
    assert torch.equal(ours, trained(getattr(torch.optim, name), CASES[name]))
    assert torch.isfinite(ours).all()


def test_it_is_an_optimizer_of_torch_with_a_state_that_can_be_loaded():
    weight = torch.ones(3, requires_grad=True)
    optimiser = eager("Adam")([weight])
    assert isinstance(optimiser, torch.optim.Adam)
    weight.sum().backward()
    optimiser.step()
    other = torch.optim.Adam([torch.ones(3, requires_grad=True)])
    other.load_state_dict(optimiser.state_dict())
    assert other.state_dict()["state"][0]["step"] == 1


STEPS = """
import sys, torch
from hartley.kit.eager_optimizers import eager
for name in ("Adam", "AdamW", "SGD", "LBFGS"):
    weight = torch.ones(3, requires_grad=True)
    optimiser = eager(name)([weight], lr=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 20)
    def loss():
        optimiser.zero_grad()
        error = weight.square().sum()
        error.backward()
        return error
    optimiser.step(loss)
    schedule.step()
print("torch._dynamo" in sys.modules)
"""


def test_no_step_loads_the_compiler_of_torch():
    done = subprocess.run(
        [sys.executable, "-c", STEPS], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["False"], done.stderr

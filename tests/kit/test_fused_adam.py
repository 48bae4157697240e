"""The optimizer of this house moves weights to the last bit as torch's does, and loads less."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hartley.kit.fused_adam import FusedAdamW

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.8, 0.95)])
def test_weights_are_those_of_torch_to_the_last_bit(decay: float, betas: tuple[float, float]):
    rng = np.random.default_rng(0)
    starts = [rng.normal(size=shape).astype(np.float32) for shape in ((7, 33), (5,), (2, 3, 4))]
    ours, theirs = ([torch.nn.Parameter(torch.tensor(s)) for s in starts] for _ in range(2))
    mover = FusedAdamW(ours, 0.03, decay, betas=betas)
    oracle = torch.optim.AdamW(theirs, lr=0.03, weight_decay=decay, betas=betas, fused=True)
    for step in range(20):
        mover.lr = oracle.param_groups[0]["lr"] = 0.03 * (1 - step / 40)
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.tensor(rng.normal(size=a.shape).astype(np.float32))
            b.grad = a.grad.clone()
        mover.step()
        oracle.step()
    for a, b, start in zip(ours, theirs, starts, strict=True):
        assert torch.equal(a, b) and not np.array_equal(a.detach().numpy(), start)


def test_at_decay_0_it_is_adam():
    ours, theirs = (torch.nn.Parameter(torch.ones(9)) for _ in range(2))
    mover, oracle = FusedAdamW([ours], 0.1), torch.optim.Adam([theirs], lr=0.1, fused=True)
    for step in range(5):
        ours.grad = torch.arange(9.0) - step
        theirs.grad = ours.grad.clone()
        mover.step()
        oracle.step()
    assert torch.equal(ours, theirs)


def test_a_parameter_without_a_gradient_is_refused():
    with pytest.raises(ValueError, match="2 parameters must each have a gradient, got 0"):
        FusedAdamW([torch.ones(2), torch.ones(3)], 0.1).step()


TRAIN = """
import sys
import numpy as np
from hartley.kit.fleet import Training, train
from hartley.kit.nets import dense
x, y = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32), np.arange(40) % 3
train(dense((5,), 3, (4,)), x, y, np.ones((2, 40), bool), Training(epochs=2, batch=8))
print(*[name for name in sys.modules if name in ("torch", "torch._dynamo")])
"""


def test_training_a_fleet_does_not_load_the_compiler_of_torch():
    process = subprocess.run(
        [sys.executable, "-c", TRAIN], capture_output=True, text=True, check=False
    )
    assert process.stdout.split() == ["torch"], process.stderr

"""RelaxLoss holds the loss of the training records where it was told to."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hartley.defenses.signal.relax_loss import Relaxed, relax_loss
from hartley.kit.fleet import ForwardPass


@pytest.mark.parametrize("target", [0.4, 1.0])
def test_the_mean_loss_of_members_stays_near_the_target(tiny, target):
    bare = tiny.scene(epochs=80)
    free, include, pool = tiny.victims(bare)
    held, _, _ = tiny.victims(relax_loss(bare, tiny.rng(), target=target))
    before = [tiny.losses(p, pool.y)[row].mean()
              for p, row in zip(free.query(pool.x), include, strict=True)]  # fmt: skip
    after = [tiny.losses(p, pool.y)[row].mean()
             for p, row in zip(held.query(pool.x), include, strict=True)]  # fmt: skip
    assert max(before) < 0.1
    assert np.mean(after) == pytest.approx(target, rel=0.15)


def test_members_are_told_apart_less(tiny):
    bare = tiny.noisy(tiny.scene(epochs=100))
    assert tiny.told_apart(relax_loss(bare, tiny.rng(), target=2.1)) < tiny.told_apart(bare) - 0.1


def slope(epoch: int, target: float, logits: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Gradient of the loss of one step at the logits."""
    leaf = logits.clone().requires_grad_()
    seen = SimpleNamespace(logits=leaf, targets=wanted, epoch=torch.tensor([float(epoch)]))
    seen.cross_entropy = lambda: ForwardPass.cross_entropy(seen)  # type: ignore[arg-type]
    (found,) = torch.autograd.grad(Relaxed(target).loss(seen).sum(), leaf)  # type: ignore[arg-type]
    return found[0]


def test_each_branch_moves_as_the_paper_says():
    logits = torch.tensor([[[2.0, 0.5, -1.0], [3.0, 0.0, 0.1]]])
    wanted = torch.eye(3)[torch.tensor([[0, 0]])]
    p = torch.softmax(logits, 2)[0]
    down = (p - wanted[0]) / 2
    torch.testing.assert_close(slope(0, 0.0, logits, wanted), down)
    torch.testing.assert_close(slope(1, 0.0, logits, wanted), down)
    torch.testing.assert_close(slope(0, 5.0, logits, wanted), -down)
    flat = (p - torch.stack([p[:, 0], (1 - p[:, 0]) / 2, (1 - p[:, 0]) / 2], 1)) / 2
    torch.testing.assert_close(slope(1, 5.0, logits, wanted), flat)

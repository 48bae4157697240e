"""Steps of orthogonal momentum: singular values near 1, and those of torch where it has them."""

from __future__ import annotations

import pytest
import torch

from hartley.kit.orthogonal_momentum import OrthogonalMomentum, orthogonal


@pytest.mark.parametrize("shape", [(8, 24), (24, 8), (16, 16)])
def test_singular_values_come_near_one(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.4 and values.max() < 1.3
    # The directions stay: the product with the polar factor is near symmetric and positive.
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.allclose(left.T @ orthogonal(matrix) @ right.T, torch.eye(min(shape)), atol=0.6)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="torch.optim has Muon from 2.9 on")
def test_steps_are_those_of_torch() -> None:
    generator = torch.Generator().manual_seed(1)
    first = torch.randn(12, 6, generator=generator)
    ours, theirs = (first.clone().requires_grad_() for _ in range(2))
    optimiser = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95)
    mine = OrthogonalMomentum([ours], momentum=0.95, decay=0.1)
    for _ in range(3):
        gradient = torch.randn(12, 6, generator=generator)
        ours.grad, theirs.grad = gradient, gradient.clone()
        mine.step(0.02)
        optimiser.step()
    # torch computes the polynomial in bfloat16, and averages momentum instead of summing it.
    apart, moved = (ours - theirs).detach().norm(), (ours - first).detach().norm()
    assert float(apart) < 0.03 * float(moved)


def test_a_matrix_without_a_gradient_stays() -> None:
    matrix = torch.ones(3, 2, requires_grad=True)
    OrthogonalMomentum([matrix]).step(0.1)
    assert torch.equal(matrix, torch.ones(3, 2))

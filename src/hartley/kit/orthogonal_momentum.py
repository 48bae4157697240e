"""Momentum whose step is made orthogonal: matrices of a transformer learn in half as many steps.

The optimiser Muon (arXiv:2502.16982): all directions of a matrix move alike, those too that the
mean gradient hardly shows. ``torch.optim`` has it from version 2.9 on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the polynomial that brings singular values near 1, from the paper."""


class OrthogonalMomentum:
    """Moves matrices by their momentum with all its singular values near 1.

    Args:
        parameters: matrices; each step moves them along their ``grad``.
        momentum: share of the last step's momentum that stays.
        decay: share of the rate by which weights shrink at a step.
        iterations: of the polynomial.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        *,
        momentum: float = 0.95,
        decay: float = 0.1,
        iterations: int = 5,
    ) -> None:
        import torch

        self.parameters, self.momentum = list(parameters), momentum
        self.decay, self.iterations = decay, iterations
        with torch.no_grad():
            self._momenta = [torch.zeros_like(p) for p in self.parameters]

    def step(self, rate: float) -> None:
        """Move every matrix; one without a gradient stays."""
        import torch

        with torch.no_grad():
            for parameter, momentum in zip(self.parameters, self._momenta, strict=True):
                if (gradient := parameter.grad) is None:
                    continue
                momentum.mul_(self.momentum).add_(gradient)
                ahead = gradient.add(momentum, alpha=self.momentum)
                rows, columns = parameter.shape
                turned = orthogonal(ahead, self.iterations)
                size = max(1.0, rows / columns) ** 0.5
                parameter.mul_(1 - rate * self.decay).add_(turned, alpha=-rate * size)


def orthogonal(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Return the matrix with its singular values brought near 1 (0.7 to 1.2)."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if tall else matrix
    x = x / (x.norm() + 1e-7)
    for _ in range(iterations):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return x.T if tall else x

"""Patterns of noise, one a class, that nets learn in place of the pictures that carry them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

PATCH = 4
"""Side of the squares of separable noise, in pixels, or a quarter of a picture's side."""

OUTER, INNER, BATCH, RATE = 10, 20, 64, 0.1
"""Alternations, steps of the net in each, pictures a step, and its learning rate."""


def separable(x: NDArray[Any], y: NDArray[Any], epsilon: float, rng: Rng) -> NDArray[np.float32]:
    """Return (classes, c, h, w) random squares of ±``epsilon`` (arXiv:2111.00898).

    Args:
        x: (n, c, h, w) pictures.
        y: (n,) labels.
        epsilon: most that a pixel changes by.
        rng: draws the patterns.
    """
    classes, (channels, height, width) = int(y.max()) + 1, x.shape[1:]
    side = max(1, min(PATCH, height // 4, width // 4))
    rows, columns = -(-height // side), -(-width // side)
    signs = rng.choice([-1.0, 1.0], (classes, channels, rows, columns))
    whole = signs.repeat(side, axis=2).repeat(side, axis=3)[:, :, :height, :width]
    return np.asarray(epsilon * whole, dtype=np.float32)


def error_minimising(
    x: NDArray[Any], y: NDArray[Any], epsilon: float, rng: Rng
) -> NDArray[np.float32]:
    """Return (classes, c, h, w) class-wise noise that minimises a net's error (arXiv:2101.04898).

    A net and the noise are trained in turn, both to make the error small: the net by stochastic
    gradient descent, the noise by steps of a tenth of ``epsilon`` against the sign of its gradient.

    Args:
        x: (n, c, h, w) pictures.
        y: (n,) labels.
        epsilon: most that a pixel changes by.
        rng: draws the net and the batches.
    """
    import torch
    from torch.nn.functional import cross_entropy

    from hartley.kit.nets import conv

    classes = int(y.max()) + 1
    net = conv(x.shape[1:], classes, channels=(16, 32), hidden=(64,))
    module = net.module(net.initial(rng))
    step = torch.optim.SGD(module.parameters(), lr=RATE, momentum=0.9)
    noise = torch.zeros((classes, *x.shape[1:]))
    pictures, labels = torch.tensor(np.asarray(x)), torch.tensor(np.asarray(y))
    for _ in range(OUTER):
        for _ in range(INNER):
            rows = torch.tensor(rng.integers(0, len(x), BATCH))
            step.zero_grad()
            cross_entropy(module(pictures[rows] + noise[labels[rows]]), labels[rows]).backward()
            step.step()
        for _ in range(INNER):
            rows = torch.tensor(rng.integers(0, len(x), BATCH))
            leaf = noise.clone().requires_grad_()
            error = cross_entropy(module(pictures[rows] + leaf[labels[rows]]), labels[rows])
            (gradient,) = torch.autograd.grad(error, leaf)
            noise = (noise - epsilon / 10 * gradient.sign()).clamp(-epsilon, epsilon)
    return np.asarray(noise.numpy(), dtype=np.float32)

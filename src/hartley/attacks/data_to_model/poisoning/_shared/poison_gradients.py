"""Move poison so that training on it moves a net as training on other records would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.eager_optimizers import eager

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Gradient = tuple[torch.Tensor, ...]
    """One tensor for each parameter."""


def as_tensor(x: NDArray[Any]) -> torch.Tensor:
    """Return records as a float tensor of their own."""
    import torch

    return torch.from_numpy(np.array(x, dtype=np.float32))


def gradient(
    module: torch.nn.Sequential, x: torch.Tensor, label: int, *, graph: bool = False
) -> Gradient:
    """Return the gradient of the mean loss of records (n, …) that share one label.

    Args:
        module: a classifier that gives logits.
        x: the records.
        label: of all of them.
        graph: whether the gradient itself is to be differentiated.
    """
    import torch

    labels = torch.full((len(x),), label)
    loss = torch.nn.functional.cross_entropy(module(x), labels)
    return tuple(torch.autograd.grad(loss, tuple(module.parameters()), create_graph=graph))


def gradient_sizes(module: torch.nn.Sequential, x: torch.Tensor, label: int) -> NDArray[np.float64]:
    """Return the size (n,) of each record's gradient in the last layer."""
    import torch

    with torch.no_grad():
        features = module[:-1](x)
        error = torch.softmax(module[-1](features), 1)
        error[:, label] -= 1
        sizes = error.norm(dim=1) * (features.norm(dim=1).square() + 1).sqrt()
    return np.asarray(sizes.double().numpy())


def matched(
    module: torch.nn.Sequential,
    x: torch.Tensor,
    label: int,
    aim: Gradient,
    limits: tuple[float, float],
    *,
    reach: float,
    steps: int,
) -> NDArray[np.float32]:
    """Return records (n, …) moved so that their mean gradient is parallel to another.

    Args:
        module: the net that both gradients are of.
        x: the records.
        label: of all of them.
        aim: the other gradient.
        limits: least and largest value that a number of a record may have.
        reach: largest change, as a share of the distance of these.
        steps: of Adam.
    """
    import torch

    low, high = limits
    most = reach * (high - low)
    moved = torch.zeros_like(x, requires_grad=True)
    optimiser = eager("Adam")([moved], lr=most / 5)
    size = torch.stack([g.square().sum() for g in aim]).sum().sqrt()
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = most / 5 * (1 - step / steps)
        slope = gradient(module, x + moved, label, graph=True)
        product = torch.stack([(a * b).sum() for a, b in zip(slope, aim, strict=True)]).sum()
        norm = torch.stack([g.square().sum() for g in slope]).sum().sqrt()
        away = 1 - product / torch.clamp(norm * size, min=1e-12)
        (moved.grad,) = torch.autograd.grad(away, [moved])
        optimiser.step()
        with torch.no_grad():
            moved.clamp_(-most, most)
            moved.copy_((x + moved).clamp(low, high) - x)
    return np.asarray((x + moved).detach().numpy())

"""Nets of one hidden layer that are trained with each other, and the scores that they compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


def small_net(
    widths: tuple[int, int, int], draw: Callable[..., torch.Tensor], spread: float = 1.0
) -> torch.nn.Sequential:
    """Return a net of one hidden layer; its first answers are about ``spread`` in size.

    Args:
        widths: numbers of a record, of the hidden layer and of an answer.
        draw: shape → numbers of a normal law.
        spread: what the weights of the last layer are multiplied by.
    """
    from torch import nn

    last = nn.Linear(widths[1], widths[2])
    net = nn.Sequential(nn.Linear(widths[0], widths[1]), nn.ReLU(), last)
    for parameter in net.parameters():
        parameter.data = draw(*parameter.shape) * parameter.shape[-1] ** -0.5
    last.weight.data *= spread
    return net


def centred(logs: Any) -> Any:
    """Return log-scores (n, classes) less their mean by row; those below −12 count as −12."""
    logs = logs.clamp(min=-12.0)
    return logs - logs.mean(1, keepdim=True)

"""A small network that separates marked pictures of one owner from unmarked ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.kit.eager_optimizers import eager

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CHANNELS = 16
PATCH, BATCH = 48, 12
"""Pixels of a side of the patches that the surrogate learns from, and patches of a step."""


def trained(kinds: list[list[NDArray[Any]]], training: int, rng: Rng) -> Any:
    """Return a network (n, 3, h, w) → (n,) how marked, trained on unmarked and marked pictures.

    Args:
        kinds: unmarked pictures (3, h, w) in 0..1, and marked ones.
        training: steps.
        rng: draws the first weights and the patches.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        import torch
        from torch import nn
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    network = nn.Sequential(
        nn.Conv2d(3, CHANNELS, 5, stride=2, padding=2), nn.LeakyReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1), nn.LeakyReLU(),
        nn.Conv2d(CHANNELS, CHANNELS, 3, stride=2, padding=1), nn.LeakyReLU(),
        nn.Conv2d(CHANNELS, 1, 1),
    )  # fmt: skip
    with torch.no_grad():
        for layer in network:
            if isinstance(layer, nn.Conv2d):
                size = layer.weight[0].numel()
                draw = torch.randn(layer.weight.shape, generator=generator)
                layer.weight.copy_(draw * (2 / size) ** 0.5)
                assert layer.bias is not None
                layer.bias.zero_()
    truth = torch.cat([torch.zeros(BATCH // 2), torch.ones(BATCH // 2)])
    optimizer = eager("Adam")(list(network.parameters()), lr=1e-3)
    for _ in range(training):
        patches = np.stack(
            [
                _patch(pictures[int(rng.integers(len(pictures)))], rng)
                for pictures in kinds
                for _ in range(BATCH // 2)
            ]
        )
        logits = network(torch.from_numpy(patches) - 0.5).mean((1, 2, 3))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.requires_grad_(False)
    return network


def _patch(picture: NDArray[Any], rng: Rng) -> NDArray[np.float32]:
    height, width = (min(PATCH, side) for side in picture.shape[1:])
    top = int(rng.integers(picture.shape[1] - height + 1))
    left = int(rng.integers(picture.shape[2] - width + 1))
    return np.asarray(picture[:, top : top + height, left : left + width], np.float32)

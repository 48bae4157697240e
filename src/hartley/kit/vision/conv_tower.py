"""A small tower of convolutions: from pixels to features that a linear map embeds.

No batch norm, so that a picture's features depend on that picture alone; with no layers at all the
tower is the pixels themselves. Imports torch inside functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    State = Mapping[str, NDArray[Any]]
    """Parameters by name: ``0.weight``, ``0.bias``, … of the layers, and ``head`` (d, width)."""

BATCH = 64
HEAD = "head"
"""The linear map behind the features."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A tower.

    Attributes:
        channels: of a picture.
        side: pixels of its sides.
        layers: (channels out, kernel, stride) of each convolution.
        width: of the embedding.
        centre, spread: what is taken from a pixel, and what it is then divided by.
    """

    channels: int
    side: int
    layers: tuple[tuple[int, int, int], ...]
    width: int
    centre: float = 0.5
    spread: float = 1.0

    @property
    def features(self) -> int:
        """Return d, the number of features."""
        channels, side = self.channels, self.side
        for out, kernel, stride in self.layers:
            channels, side = out, (side + 2 * _border(kernel, stride) - kernel) // stride + 1
        return channels * side * side

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return {"convolutions": 1, **asdict(self)}


def initial(shape: Shape, seed: int) -> dict[str, NDArray[np.float32]]:
    """Draw the first parameters, by name."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    state, channels = {}, shape.channels
    for k, (out, kernel, _) in enumerate(shape.layers):
        drawn = torch.randn(out, channels, kernel, kernel, generator=generator)
        state[f"{k}.weight"] = drawn * (2 / (channels * kernel * kernel)) ** 0.5
        state[f"{k}.bias"] = torch.zeros(out)
        channels = out
    drawn = torch.randn(shape.features, shape.width, generator=generator)
    state[HEAD] = drawn / shape.features**0.5
    return {name: value.numpy() for name, value in state.items()}


def as_tensors(state: State, *, learns: bool = False) -> dict[str, Tensor]:
    """Return parameters as tensors, kernels in the order that is fast on processors."""
    import torch

    out = {}
    for name, value in state.items():
        tensor = torch.from_numpy(np.array(value, dtype=np.float32))
        if tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        out[name] = tensor.requires_grad_(learns)
    return out


def features(state: Mapping[str, Tensor], shape: Shape, pictures: Tensor) -> Tensor:
    """Return the features (n, d) of pictures (n, channels, side, side) from 0 to 1."""
    import torch
    from torch.nn import functional

    x = (pictures - shape.centre) / shape.spread
    if not shape.layers:
        return x.flatten(1)[:, : shape.features]
    x = x.contiguous(memory_format=torch.channels_last)
    for k, (_, kernel, stride) in enumerate(shape.layers):
        weight, bias = state[f"{k}.weight"], state[f"{k}.bias"]
        x = functional.gelu(functional.conv2d(x, weight, bias, stride, _border(kernel, stride)))
    flat = x.flatten(1)
    return functional.layer_norm(flat, flat.shape[1:])


def embedded(state: Mapping[str, Tensor], flat: Tensor) -> Tensor:
    """Return embeddings (n, width) of length 1 of features (n, d)."""
    from torch.nn import functional

    return functional.normalize(flat @ state[HEAD], dim=-1)


def all_features(state: State, shape: Shape, pictures: NDArray[Any]) -> NDArray[np.float32]:
    """Return the features (n, d) of any number of pictures, as arrays."""
    import torch

    tensors, parts = as_tensors(state), []
    with torch.no_grad():
        for at in range(0, len(pictures), BATCH):
            rows = torch.from_numpy(np.array(pictures[at : at + BATCH], dtype=np.float32))
            parts.append(features(tensors, shape, rows).numpy())
    return np.concatenate(parts) if parts else np.zeros((0, shape.features), np.float32)


def pulled_back(
    state: State, shape: Shape, pictures: NDArray[Any], slope: NDArray[Any]
) -> NDArray[np.float32]:
    """Return the gradient in pictures of the inner product of their features with ``slope`` (n, d).

    Args:
        state: parameters by name.
        shape: the tower.
        pictures: (n, channels, side, side).
        slope: (n, d).
    """
    import torch

    tensors, parts = as_tensors(state), []
    for at in range(0, len(pictures), BATCH):
        rows = torch.from_numpy(np.array(pictures[at : at + BATCH], np.float32)).requires_grad_()
        towards = torch.from_numpy(np.array(slope[at : at + BATCH], np.float32))
        total = (features(tensors, shape, rows) * towards).sum()
        parts.append(torch.autograd.grad(total, rows)[0].numpy())
    return np.concatenate(parts) if parts else np.zeros(pictures.shape, np.float32)


def _border(kernel: int, stride: int) -> int:
    """Return the padding that makes the output's side the input's over the stride."""
    return (kernel - stride + 1) // 2

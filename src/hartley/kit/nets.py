"""Small networks as plain records: their layers, first weights and forward pass.

A ``Net`` is a description (hashable, so it keys caches); weights are numpy arrays by the names that
the equal ``torch.nn.Sequential`` gives them. So a fleet can hold K models as stacked arrays, and
nothing here imports torch before a network is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise
from math import prod, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Tensors = Mapping[str, torch.Tensor]

STRIDE = 2


@dataclass(frozen=True, slots=True)
class Net:
    """A small network.

    Attributes:
        kind: ``dense`` (flattened records through ReLU layers) or ``conv`` (3×3 convolutions of
            stride 2 with ReLU, then dense layers).
        inputs: shape of one record, for example ``(1, 28, 28)``.
        classes: number of classes.
        channels: output channels of each convolution; empty for a dense net.
        hidden: widths of the hidden dense layers.

    Raises:
        UsageError: a kind that is not there, or channels that do not go with it.
    """

    kind: str
    inputs: tuple[int, ...]
    classes: int
    channels: tuple[int, ...] = ()
    hidden: tuple[int, ...] = (128,)

    def __post_init__(self) -> None:
        if self.kind not in {"dense", "conv"}:
            raise UsageError(f"kind must be dense or conv, got {self.kind!r}")
        if bool(self.channels) != (self.kind == "conv"):
            raise UsageError(
                f"channels must be given for a conv net and only there, got {self.channels} with "
                f"kind {self.kind!r}"
            )

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(prod(shape) for shape in self.shapes.values())

    @property
    def features(self) -> int:
        """Inputs of the first dense layer."""
        if self.kind == "dense":
            return prod(self.inputs)
        side = self.inputs[1:]
        for _ in self.channels:
            side = tuple((s + 1) // STRIDE for s in side)
        return self.channels[-1] * prod(side)

    @property
    def steps(self) -> tuple[tuple[str, str], ...]:
        """(layer, name) in order; the names are those of :meth:`module`'s parameters."""
        convs = [f"{2 * i}" for i in range(len(self.channels))]
        start = 2 * len(self.channels) + 1
        denses = [f"{start + 2 * i}" for i in range(len(self.hidden) + 1)]
        return (*(("conv", n) for n in convs), *(("dense", n) for n in denses))

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of each parameter, by name, in the order of the layers."""
        shapes: dict[str, tuple[int, ...]] = {}
        names = [name for _, name in self.steps]
        widths = [*pairwise((self.inputs[0], *self.channels))] if self.channels else []
        for name, (a, b) in zip(names, widths, strict=False):
            shapes |= {f"{name}.weight": (b, a, 3, 3), f"{name}.bias": (b,)}
        layers = pairwise((self.features, *self.hidden, self.classes))
        for name, (a, b) in zip(names[len(widths) :], layers, strict=True):
            shapes |= {f"{name}.weight": (b, a), f"{name}.bias": (b,)}
        return shapes

    def initial(self, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """Draw first weights, by torch's law for these layers: uniform within ±1/√fan-in."""
        weights: dict[str, NDArray[np.float32]] = {}
        bound = 1.0
        for name, shape in self.shapes.items():
            if name.endswith("weight"):
                bound = 1 / sqrt(prod(shape[1:]))
            weights[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
        return weights

    def forward(self, weights: Tensors, x: torch.Tensor) -> torch.Tensor:
        """Logits (n, classes) of records (n, *inputs), as a pure function of the weights."""
        import torch.nn.functional as F

        last = self.steps[-1][1]
        flat = self.kind == "dense"
        if flat:
            x = x.reshape(len(x), -1)
        for layer, name in self.steps:
            weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
            if layer == "conv":
                x = F.relu(F.conv2d(x, weight, bias, stride=STRIDE, padding=1))
                continue
            if not flat:
                x, flat = x.flatten(1), True
            x = F.linear(x, weight, bias)
            if name != last:
                x = F.relu(x)
        return x

    def module(self, weights: Mapping[str, NDArray[Any]] | None = None) -> torch.nn.Sequential:
        """The same network as a ``torch.nn.Sequential``, with these weights if given."""
        import torch
        from torch import nn

        layers: list[nn.Module] = []
        for a, b in pairwise((self.inputs[0], *self.channels)) if self.channels else ():
            layers += [nn.Conv2d(a, b, 3, stride=STRIDE, padding=1), nn.ReLU()]
        layers.append(nn.Flatten())
        for a, b in pairwise((self.features, *self.hidden, self.classes)):
            layers += [nn.Linear(a, b), nn.ReLU()]
        module = nn.Sequential(*layers[:-1])
        if weights is not None:
            module.load_state_dict({k: torch.tensor(np.asarray(v)) for k, v in weights.items()})
        return module


def dense(inputs: tuple[int, ...], classes: int, hidden: tuple[int, ...] = (128,)) -> Net:
    """A dense net with ReLU, for example 64-128-10: ``dense((1, 8, 8), 10)``."""
    return Net("dense", tuple(inputs), classes, (), tuple(hidden))


def conv(
    inputs: tuple[int, int, int],
    classes: int,
    channels: tuple[int, ...] = (16, 32),
    hidden: tuple[int, ...] = (64,),
) -> Net:
    """A strided convolutional net on images of shape (channels, height, width)."""
    return Net("conv", tuple(inputs), classes, tuple(channels), tuple(hidden))

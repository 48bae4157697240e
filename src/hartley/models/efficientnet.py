"""EfficientNet-Lite0 from its pack: ImageNet features, 1280-d (arXiv:1905.11946 without gates).

The architecture is written from the paper's table and read off the weights; batch norms are folded
into the convolutions before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Modality, Model, Output
from hartley.core.errors import MissingExtra
from hartley.data.packs import locate
from hartley.models.encoders import encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    Folded = dict[str, tuple[Tensor, Tensor]]
    Maps = Callable[[Tensor], Tensor]

WIDTH, CLASSES = 1280, 1000
BATCH = 32
SHAKE = 1e-3
"""Added to a variance by these batch norms."""

STAGES = ((1, 1), (2, 2), (2, 2), (3, 2), (3, 1), (4, 2), (1, 1))
"""(blocks, stride of the first) of each stage; kernels and widths are those of the weights."""

FINE = 4
"""The stage whose maps have twice the places of the last."""


@cache
def efficientnet() -> Model:
    """Return the features: pictures float32 (n, 3, h, w) in 0..1 → (n, 1280).

    They are the last feature maps, averaged over the picture; sides of 128 or more do well.

    Raises:
        MissingPack: the pack ``efficientnet-lite0`` was not fetched.
        MissingExtra: torch is not installed.
    """
    folded = _network()[1]

    def encode(x: NDArray[Any]) -> NDArray[np.float32]:
        return _batched(x, lambda rows: _features(folded, rows))

    return encoder("EfficientNet-Lite0", Modality.VISION, encode, WIDTH)


def pulled_back(x: NDArray[Any], slope: NDArray[Any]) -> NDArray[np.float32]:
    """Return the gradient in pictures of the inner product of their features with ``slope``.

    Args:
        x: float32 (n, 3, h, w) in 0..1.
        slope: (n, 1280).

    Raises:
        MissingPack: the pack ``efficientnet-lite0`` was not fetched.
        MissingExtra: torch is not installed.
    """
    folded = _network()[1]
    import torch

    parts = []
    for at in range(0, len(x), BATCH):
        rows = torch.from_numpy(np.array(x[at : at + BATCH], dtype=np.float32)).requires_grad_()
        towards = torch.from_numpy(np.array(slope[at : at + BATCH], dtype=np.float32))
        total = (_features(folded, (rows * 255 - 127) / 128) * towards).sum()
        parts.append(torch.autograd.grad(total, rows)[0].numpy())
    return np.concatenate(parts) if parts else np.zeros(x.shape, np.float32)


@cache
def classifier() -> Model:
    """Return the whole network: pictures float32 (n, 3, h, w) in 0..1 → ImageNet logits (n, 1000).

    Raises:
        MissingPack: the pack ``efficientnet-lite0`` was not fetched.
        MissingExtra: torch is not installed.
    """
    state, folded = _network()

    def query(x: NDArray[Any]) -> NDArray[np.float32]:
        return _batched(
            x, lambda rows: _features(folded, rows) @ state["_fc.weight"].T + state["_fc.bias"]
        )

    return Model("EfficientNet-Lite0", Modality.VISION, query, Output.LOGITS, CLASSES)


def feature_maps() -> Maps:
    """Return the network up to its feature maps, which gradients pass through.

    A map has 4 × 4 places for pictures of 128 pixels a side. A place holds the last feature map
    (1280), and the four places of the twice as fine map behind the fifth stage (4 · 112).

    Returns:
        A function: pictures float32 tensor (n, 3, 128, 128) in 0..1 → (n, 16, 1728).

    Raises:
        MissingPack: the pack ``efficientnet-lite0`` was not fetched.
        MissingExtra: torch is not installed.
    """
    _, folded = _network()

    def run(pictures: Tensor) -> Tensor:
        import torch
        from torch.nn import functional

        x = ((pictures * 255 - 127) / 128).contiguous(memory_format=torch.channels_last)
        stages = [*_stages(folded, x)]
        last = _conv(stages[-1], folded["_conv_head"]).clamp(0, 6)
        fine = functional.pixel_unshuffle(stages[FINE], 2)
        return torch.cat([last, fine], 1).flatten(2).transpose(1, 2)

    return run


@cache
def _network() -> tuple[dict[str, Tensor], Folded]:
    home = locate("efficientnet-lite0")
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    state = load_file(next(home.glob("*.safetensors")))
    pairs = {"_conv_stem": "_bn0", "_conv_head": "_bn1"}
    for block in range(sum(count for count, _ in STAGES)):
        at = f"_blocks.{block}."
        layers = ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"), ("_expand_conv", "_bn0")
        pairs |= {at + conv: at + norm for conv, norm in layers if f"{at}{conv}.weight" in state}
    return state, {conv: _fold(state, conv, norm) for conv, norm in pairs.items()}


def _fold(state: dict[str, Tensor], conv: str, norm: str) -> tuple[Tensor, Tensor]:
    gain = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + SHAKE).sqrt()
    weight = state[f"{conv}.weight"] * gain[:, None, None, None]
    return weight, state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * gain


def _batched(x: NDArray[Any], run: Any) -> NDArray[np.float32]:
    import torch

    parts = []
    with torch.no_grad():
        for at in range(0, len(x), BATCH):
            rows = np.asarray(x[at : at + BATCH], dtype=np.float32)
            parts.append(run(torch.from_numpy((rows * 255 - 127) / 128)).numpy())
    return np.concatenate(parts)


def _features(folded: Folded, x: Tensor) -> Tensor:
    *_, last = _stages(folded, x)
    return _conv(last, folded["_conv_head"]).clamp(0, 6).mean((2, 3))


def _stages(folded: Folded, x: Tensor) -> Iterator[Tensor]:
    """Yield what comes out of each stage."""
    x = _conv(x, folded["_conv_stem"], 2).clamp(0, 6)
    block = 0
    for count, first in STAGES:
        for turn in range(count):
            stride = first if turn == 0 else 1
            at, inner = f"_blocks.{block}.", x
            if f"{at}_expand_conv" in folded:
                inner = _conv(inner, folded[f"{at}_expand_conv"]).clamp(0, 6)
            depthwise = folded[f"{at}_depthwise_conv"]
            inner = _conv(inner, depthwise, stride, groups=len(depthwise[1])).clamp(0, 6)
            inner = _conv(inner, folded[f"{at}_project_conv"])
            x = inner + x if turn else inner
            block += 1
        yield x


def _conv(x: Tensor, weights: tuple[Tensor, Tensor], stride: int = 1, groups: int = 1) -> Tensor:
    """A convolution whose output is the input's size over the stride, padded as TensorFlow does."""
    from torch.nn import functional

    size = weights[0].shape[-1]
    # The larger half of an odd padding goes to the right and to the bottom.
    gaps = [max((-(-s // stride) - 1) * stride + size - s, 0) for s in (x.shape[-1], x.shape[-2])]
    border = [part for gap in gaps for part in (gap // 2, gap - gap // 2)]
    return functional.conv2d(
        functional.pad(x, border), weights[0], weights[1], stride=stride, groups=groups
    )

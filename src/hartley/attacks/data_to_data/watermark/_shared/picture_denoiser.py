"""A small network that takes noise of a level that it is given out of pictures.

The layers are those of FFDNet (arXiv:1710.04026), fewer and narrower: they work on pictures of half
the size whose pixels are four of the picture, and the level is one more channel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.kit.cache import cached, digest
from hartley.kit.eager_optimizers import eager
from hartley.kit.vision.dead_leaves import dead_leaves

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNELS = 24
PATCH, BATCH = 48, 16
"""Pixels of a side of the patches that it learns from, and patches of a step."""
LOUDEST = 0.2
"""Largest deviation of the noise in training, in 0..1."""
RATE = 2e-3
LEAVES, SIDE = 24, 192
"""Pictures of dead leaves beside the attacker's, half of what it learns from, and their sides: of
few photographs alone it learns what these look like, and not what noise is."""

Denoise = Callable[["NDArray[Any]", float], "NDArray[np.float32]"]


def denoiser(pictures: Sequence[NDArray[Any]], training: int) -> Denoise:
    """Return a network (picture (3, h, w), deviation of its noise) → picture, from the cache.

    Args:
        pictures: (3, h, w) in 0..1 without noise, from which it learns, with dead leaves.
        training: steps.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    recipe = [
        "pictures",
        digest(list(pictures)),
        training,
        CHANNELS,
        PATCH,
        BATCH,
        LOUDEST,
        RATE,
        LEAVES,
        SIDE,
    ]
    weights = cached("picture-denoiser", recipe, lambda: _train(pictures, training), code=_train)
    network = _network()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    network.requires_grad_(False)

    def denoise(picture: NDArray[Any], level: float) -> NDArray[np.float32]:
        x = np.asarray(picture, np.float32)
        edges = [(0, 0), *((0, side % 2) for side in x.shape[1:])]
        even = torch.from_numpy(np.pad(x, edges, mode="edge"))[None]
        out: NDArray[np.float32] = _denoised(network, even, torch.tensor([level]))[0].numpy()
        return out[:, : x.shape[1], : x.shape[2]]

    return denoise


def _train(pictures: Sequence[NDArray[Any]], training: int) -> dict[str, NDArray[Any]]:
    """Return the weights after some steps; what is drawn is fixed, so that all rounds share it."""
    import torch

    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    leaves = list(dead_leaves(LEAVES, SIDE, rng))
    network = _network()
    initialise(network, generator)  # it begins by taking nothing out
    optimizer = eager("Adam")(list(network.parameters()), lr=RATE)
    for step in range(training):
        sources = [(pictures, leaves)[int(rng.integers(2))] for _ in range(BATCH)]
        clean = torch.from_numpy(np.stack([drawn_patch(source, rng) for source in sources]))
        levels = torch.from_numpy(rng.uniform(0, LOUDEST, BATCH).astype(np.float32))
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32))
        noisy = clean + levels[:, None, None, None] * noise
        loss = (_denoised(network, noisy, levels) - clean).square().mean()
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / training)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: value.detach().numpy().copy() for name, value in network.state_dict().items()}


def initialise(network: Any, generator: Any) -> None:
    """Draw the weights of convolutions, but for the last ones: these begin at 0."""
    import torch
    from torch import nn

    layers = [layer for layer in network if isinstance(layer, nn.Conv2d)]
    with torch.no_grad():
        for layer in layers:
            draw = torch.randn(layer.weight.shape, generator=generator)
            layer.weight.copy_(draw * (2 / layer.weight[0].numel()) ** 0.5)
            assert layer.bias is not None
            layer.bias.zero_()
        layers[-1].weight.zero_()


def _network() -> Any:
    from torch import nn

    widths = (13, CHANNELS, CHANNELS, CHANNELS, 12)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.LeakyReLU()]
    return nn.Sequential(*layers[:-1])


def _denoised(network: Any, noisy: Any, levels: Any) -> Any:
    """Return pictures (n, 3, h, w), of even sides, without their noise of deviations (n,)."""
    import torch
    from torch.nn.functional import pixel_shuffle, pixel_unshuffle

    small = pixel_unshuffle(noisy - 0.5, 2)
    level_map = levels[:, None, None, None].expand((len(small), 1, *small.shape[2:]))
    return noisy - pixel_shuffle(network(torch.cat([small, level_map], 1)), 2)


def drawn_patch(pictures: Sequence[NDArray[Any]], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return a patch (3, PATCH, PATCH) of some picture; a small one is mirrored at its edges."""
    picture = pictures[int(rng.integers(len(pictures)))]
    edges = [(0, 0), *((0, max(0, PATCH - side)) for side in picture.shape[1:])]
    whole = np.pad(picture, edges, mode="symmetric")
    top, left = (int(rng.integers(side - PATCH + 1)) for side in whole.shape[1:])
    patch = whole[:, top : top + PATCH, left : left + PATCH]
    return np.asarray(patch[:, :, ::-1] if rng.integers(2) else patch, np.float32)

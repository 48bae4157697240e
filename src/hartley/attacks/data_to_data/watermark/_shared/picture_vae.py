"""A small variational autoencoder of pictures, with which they are drawn anew at a chosen quality.

Each 4 × 4 pixels of a picture have 48 latent numbers (arXiv:1312.6114, convolutional). Encoder and
decoder are cosine transforms to which three layers add what they learned. Both are given the
deviation that a decoded pixel may have: the lower bound on the evidence then says how much of a
picture is worth keeping, and the posterior's noise takes the rest. One network serves all levels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.picture_denoiser import (
    LEAVES,
    SIDE,
    drawn_patch,
    initialise,
)
from hartley.core.errors import MissingExtra
from hartley.kit.cache import cached, digest
from hartley.kit.eager_optimizers import eager
from hartley.kit.vision.dead_leaves import dead_leaves

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 4
"""Pixels of a side that share their latent numbers."""
LATENT, CHANNELS = 3 * BLOCK**2, 64
BATCH = 16
LEAST, LOUDEST = 0.002, 0.1
"""Deviations of a decoded pixel in training, in 0..1."""
RATE = 2e-3

Redraw = Callable[["NDArray[Any]", float], "NDArray[np.float32]"]


def redrawer(pictures: Sequence[NDArray[Any]], training: int, noise: NDArray[Any]) -> Redraw:
    """Return (picture (3, h, w), strength in 0..1) → what the autoencoder draws, from the cache.

    Args:
        pictures: (3, h, w) in 0..1 without a mark, from which it learns, with dead leaves.
        training: steps.
        noise: (48, at least ⌈h/4⌉, at least ⌈w/4⌉) standard normal, of the latent numbers.

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
        BATCH,
        LEAST,
        LOUDEST,
        RATE,
        LEAVES,
    ]
    weights = cached("picture-vae", recipe, lambda: _train(pictures, training), code=_train)
    nets = _networks()
    nets.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    nets.requires_grad_(False)

    def redraw(picture: NDArray[Any], strength: float) -> NDArray[np.float32]:
        x = np.asarray(picture, np.float32)
        edges = [(0, 0), *((0, -side % BLOCK) for side in x.shape[1:])]
        whole = torch.from_numpy(np.pad(x, edges, mode="edge"))[None]
        level = torch.tensor([LEAST * (LOUDEST / LEAST) ** strength], dtype=torch.float32)
        mean, spread = _encoded(nets, whole, level)
        rows, columns = mean.shape[2:]
        drawn = torch.from_numpy(np.asarray(noise[:, :rows, :columns], np.float32))
        out: NDArray[np.float32] = _decoded(nets, mean + spread * drawn, level)[0].numpy()
        return out[:, : x.shape[1], : x.shape[2]]

    return redraw


def latent_noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return standard normal noise for the latent numbers of a picture of a shape (3, h, w)."""
    sides = (-(-side // BLOCK) for side in shape[1:])
    return rng.standard_normal((LATENT, *sides), dtype=np.float32)


def _train(pictures: Sequence[NDArray[Any]], training: int) -> dict[str, NDArray[Any]]:
    """Return the weights after some steps; what is drawn is fixed, so that all rounds share it."""
    import torch

    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    leaves = list(dead_leaves(LEAVES, SIDE, rng))
    nets = _networks()
    for name in ("encoder", "decoder"):
        initialise(nets[name], generator)
    with torch.no_grad():
        some = np.stack([drawn_patch(pictures, rng) for _ in range(BATCH)])
        wide = _transformed(torch.from_numpy(some)).square().mean((0, 2, 3)).sqrt()
        nets["prior"].weight.copy_((wide + LEAST).log())
    optimizer = eager("Adam")(list(nets.parameters()), lr=RATE)
    for step in range(training):
        sources = [(pictures, leaves)[int(rng.integers(2))] for _ in range(BATCH)]
        clean = torch.from_numpy(np.stack([drawn_patch(source, rng) for source in sources]))
        drawn = LEAST * (LOUDEST / LEAST) ** rng.uniform(0, 1, BATCH)
        levels = torch.from_numpy(drawn.astype(np.float32))
        mean, spread = _encoded(nets, clean, levels)
        noise = torch.from_numpy(rng.standard_normal(mean.shape, dtype=np.float32))
        error = (_decoded(nets, mean + spread * noise, levels) - clean).square().sum((1, 2, 3))
        wide = nets["prior"].weight.exp()[:, :, None, None]
        ratio = (spread / wide).square()
        nats = 0.5 * (ratio + (mean / wide).square() - 1 - ratio.log()).sum((1, 2, 3))
        # In nats a pixel: of every level the same weight.
        loss = (error / (2 * levels.square()) + nats).mean() / clean[0].numel()
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / training)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(nets.parameters()), 1.0)
        optimizer.step()
    return {name: value.detach().numpy().copy() for name, value in nets.state_dict().items()}


def _networks() -> Any:
    """Return the layers of encoder and decoder, and the logarithms of the prior's deviations."""
    import torch
    from torch import nn

    def layers(out: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(LATENT + 1, CHANNELS, 3, padding=1),
            nn.LeakyReLU(),
            nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1),
            nn.LeakyReLU(),
            nn.Conv2d(CHANNELS, out, 3, padding=1),
        )

    prior = nn.Embedding(1, LATENT, _weight=torch.full((1, LATENT), -1.5))
    return nn.ModuleDict({"encoder": layers(2 * LATENT), "decoder": layers(LATENT), "prior": prior})


def _encoded(nets: Any, pictures: Any, levels: Any) -> tuple[Any, Any]:
    """Return means and deviations (n, 48, h/4, w/4) of the latent numbers."""
    code = _transformed(pictures)
    shift, log = nets["encoder"](_seen(code, levels)).chunk(2, 1)
    return code + levels[:, None, None, None] * shift, levels[:, None, None, None] * log.exp()


def _decoded(nets: Any, code: Any, levels: Any) -> Any:
    """Return the pictures (n, 3, h, w) of latent numbers (n, 48, h/4, w/4)."""
    import torch
    from torch.nn.functional import pixel_shuffle

    shift = nets["decoder"](_seen(code, levels))
    whole = code + levels[:, None, None, None] * shift
    return pixel_shuffle(torch.einsum("kl,nkij->nlij", _cosines(), whole), BLOCK) + 0.5


def _transformed(pictures: Any) -> Any:
    """Return the cosines (n, 48, h/4, w/4) of pictures (n, 3, h, w)."""
    import torch
    from torch.nn.functional import pixel_unshuffle

    return torch.einsum("kl,nlij->nkij", _cosines(), pixel_unshuffle(pictures - 0.5, BLOCK))


def _seen(code: Any, levels: Any) -> Any:
    """Return what the layers read: latent numbers over the level, and the level (n,), as logs."""
    import torch

    level = levels[:, None, None, None]
    log = (level / np.sqrt(LEAST * LOUDEST)).log().expand((len(code), 1, *code.shape[2:]))
    return torch.cat([(code / level).asinh(), log], 1)


def _cosines() -> Any:
    """Return the (48, 48) orthonormal cosines of three planes of 4 × 4 pixels."""
    import torch
    from scipy.fft import dct

    one = dct(np.eye(BLOCK), axis=0, norm="ortho")
    return torch.from_numpy(np.kron(np.eye(3), np.kron(one, one)).astype(np.float32))

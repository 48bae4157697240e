"""A picture's watermark that two small networks learn together, as in HiDDeN (arXiv:1807.09937).

An encoder changes each tile of 64 × 64 pixels so that a decoder reads a message of 32 bits from it,
after noise that is drawn anew in each step of their training: JPEG, blur, noise, halving, a change
of brightness, or none. Each tile of a picture carries the whole message, and the reader adds up the
tiles' logits.

Here the energy of the change is fixed instead of traded by a loss, the examples are pictures of
dead leaves, so that photographs are new to both networks, and the training takes minutes on one
core. JPEG is a real one in the forward direction, and in the backward direction the low-pass of
HiDDeN's mask. A key turns bits, so that an unmarked picture reads fair ones over fresh keys. Tiles
begin at the picture's corner: a crop or a turn moves them, against which nothing is learned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hartley.core.errors import MissingExtra
from hartley.kit.cache import cached
from hartley.kit.eager_optimizers import eager
from hartley.kit.marker import Marker
from hartley.kit.vision import image, marks
from hartley.kit.vision.dead_leaves import dead_leaves

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

TILE: Final = 64
BITS: Final = 32
WIDTH = 12
"""Channels of the encoder; the decoder has twice, three and four times as many."""
BATCH = 16
RATE = 2e-3
STRONG, WEAK = 30.0, 38.0
"""PSNR in dB of marked tiles, in the first and in the last half of the training."""
EXAMPLES, SIDE = 48, 256
"""Pictures of dead leaves that are trained on, and their sides."""
LOW = 5
"""Rows and columns of 8 × 8 cosines through which JPEG's slope passes."""


def learned(psnr: float = 38.0, training: int = 3000) -> Marker:
    """Return the mark of networks that are trained once, and then are in the cache.

    Args:
        psnr: quality of a marked picture, in dB, after rounding to 8 bits.
        training: steps.

    Raises:
        MissingExtra: torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    recipe = ["learned mark", training, TILE, BITS, WIDTH, BATCH, RATE, STRONG, WEAK]
    weights = cached("learned_mark", recipe, lambda: trained(training), code=trained)
    encoder, decoder = _networks()
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        of_it = {key: value for key, value in weights.items() if key.startswith(name)}
        state = {key.removeprefix(name + "."): torch.from_numpy(of_it[key]) for key in of_it}
        network.load_state_dict(state)
        network.requires_grad_(False)

    def embed(picture: NDArray[Any], bits: NDArray[Any], key: int, rng: Rng) -> NDArray[Any]:
        del rng
        signs = (2.0 * (np.asarray(bits) ^ _turned(key)) - 1).astype(np.float32)
        tiles, (rows, columns) = _tiles(picture)
        message = torch.from_numpy(np.tile(signs, (len(tiles), 1)))
        change = _changed(encoder, torch.from_numpy(tiles), message)
        wave = np.zeros(picture.shape, np.float32)
        wave[:, : rows * TILE, : columns * TILE] = (
            change.numpy()
            .reshape(rows, columns, 3, TILE, TILE)
            .transpose(2, 0, 3, 1, 4)
            .reshape(3, rows * TILE, columns * TILE)
        )
        return image.at_psnr(picture, wave, psnr)

    def soft(picture: NDArray[Any], key: int, m: int) -> NDArray[Any]:
        tiles, _ = _tiles(picture)
        logits = _logits(decoder, torch.from_numpy(tiles)).numpy().sum(0)
        turned: NDArray[Any] = (logits * (1 - 2 * _turned(key)))[:m].astype(np.float64)
        return turned

    return Marker(
        "learned",
        embed,
        soft,
        (("psnr", psnr), ("training", training)),
        lambda item, m: m == BITS and min(item.shape[1:]) >= TILE,
        bits=BITS,
        key_shows=False,
        plain=marks.published,
    )


def trained(training: int) -> dict[str, NDArray[Any]]:
    """Return the weights of an encoder and a decoder, trained together.

    Args:
        training: steps.
    """
    import torch
    from torch import nn

    rng = np.random.default_rng(0)
    generator = torch.Generator().manual_seed(0)
    pictures = dead_leaves(EXAMPLES, SIDE, rng)
    encoder, decoder = _networks()
    with torch.no_grad():
        for layer in [*encoder.modules(), *decoder.modules()]:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                draw = torch.randn(layer.weight.shape, generator=generator)
                layer.weight.copy_(draw * (2 / layer.weight[0].numel()) ** 0.5)
                assert layer.bias is not None
                layer.bias.zero_()
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimizer = eager("Adam")(weights, lr=RATE)
    for step in range(training):
        at = step / training
        tiles = torch.from_numpy(_drawn(pictures, rng))
        bits = torch.from_numpy(rng.integers(0, 2, (BATCH, BITS)).astype(np.float32))
        psnr = STRONG + (WEAK - STRONG) * min(1.0, 2 * at)
        change = _changed(encoder, tiles, 2 * bits - 1)
        marked = (tiles + 10 ** (-psnr / 20) * change).clamp(0, 1)
        logits = _logits(decoder, _noised(marked, rng))
        loss = nn.functional.binary_cross_entropy_with_logits(logits, bits)
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, 2 * (1 - at))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimizer.step()
    return {
        f"{name}.{key}": value.detach().numpy().copy()
        for name, network in (("encoder", encoder), ("decoder", decoder))
        for key, value in network.state_dict().items()
    }


def _networks() -> tuple[Any, Any]:
    """Return the layers of the encoder, by name, and of the decoder."""
    from torch import nn

    encoder = nn.ModuleDict(
        {
            "spread": nn.Linear(BITS, WIDTH * (TILE // 4) ** 2),
            "seen": nn.Conv2d(3, WIDTH, 3, padding=1),
            "mixed": nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, padding=1),
            "out": nn.Conv2d(2 * WIDTH, 3, 3, padding=1),
        }
    )
    decoder = nn.ModuleDict(
        {
            "first": nn.Conv2d(3, 2 * WIDTH, 5, padding=2),
            "second": nn.Conv2d(2 * WIDTH, 3 * WIDTH, 3, stride=2, padding=1),
            "third": nn.Conv2d(3 * WIDTH, 4 * WIDTH, 3, stride=2, padding=1),
            "read": nn.Linear(4 * WIDTH * (TILE // 8) ** 2, BITS),
        }
    )
    return encoder, decoder


def _changed(encoder: Any, tiles: Any, signs: Any) -> Any:
    """Return the change of tiles (n, 3, TILE, TILE), each of root mean square 1.

    Args:
        encoder: its layers.
        tiles: (n, 3, TILE, TILE) in 0..1.
        signs: (n, BITS) −1 or 1.
    """
    import torch
    from torch.nn.functional import avg_pool2d, interpolate, leaky_relu

    small = encoder["spread"](signs).reshape(-1, WIDTH, TILE // 4, TILE // 4)
    message = interpolate(small, scale_factor=2, mode="bilinear")
    picture = leaky_relu(encoder["seen"](avg_pool2d(tiles, 2) - 0.5))
    mixed = leaky_relu(encoder["mixed"](torch.cat([message, picture], 1)))
    change = interpolate(encoder["out"](mixed), scale_factor=2, mode="bilinear")
    return change / (change.square().mean((1, 2, 3), keepdim=True).sqrt() + 1e-6)


def _logits(decoder: Any, tiles: Any) -> Any:
    """Return the logits (n, BITS) of the bits that the decoder reads in tiles."""
    from torch.nn.functional import avg_pool2d, leaky_relu

    out = _whitened(avg_pool2d(tiles, 2))
    for name in ("first", "second", "third"):
        out = leaky_relu(decoder[name](out))
    return decoder["read"](out.flatten(1))


def _whitened(tiles: Any) -> Any:
    """Return tiles without their local mean, over their local contrast."""
    from torch.nn.functional import avg_pool2d

    def mean(x: Any, side: int) -> Any:
        for axis in ((side, 1), (1, side)):
            edges = tuple(length // 2 for length in axis)
            x = avg_pool2d(x, axis, 1, edges, count_include_pad=False)
        return x

    detail = tiles - mean(tiles, 9)
    return detail / ((mean(detail * detail, 5) + 1e-6).sqrt() + 0.02)


def _noised(tiles: Any, rng: Rng) -> Any:
    """Return tiles after one kind of noise, the same for all of them."""
    import torch
    from torch.nn.functional import avg_pool2d, interpolate

    kind = int(rng.integers(6))
    if kind == 0:
        through = _low_pass(tiles)
        quality = int(rng.integers(40, 91))
        files = np.stack([image.jpeg(tile, quality) for tile in tiles.detach().numpy()])
        return through + (torch.from_numpy(files) - through).detach()
    if kind == 1:
        noise = rng.standard_normal(tiles.shape, dtype=np.float32)
        return tiles + float(rng.uniform(0, 10 / 255)) * torch.from_numpy(noise)
    if kind == 2:
        return avg_pool2d(tiles, 3, 1, 1, count_include_pad=False)
    if kind == 3:
        return interpolate(avg_pool2d(tiles, 2), scale_factor=2, mode="bilinear")
    if kind == 4:
        return (tiles * float(rng.uniform(0.7, 1.3))).clamp(0, 1)
    return tiles


def _low_pass(tiles: Any) -> Any:
    """Return tiles with the low cosines alone of each block of 8 × 8."""
    import torch
    from scipy.fft import dct

    rows = dct(np.eye(8), axis=0, norm="ortho")[:LOW]
    keep = torch.from_numpy((rows.T @ rows).astype(np.float32))
    count = TILE // 8
    cut = tiles.reshape(-1, 3, count, 8, count, 8)
    return torch.einsum("ncaibj,ik,jl->ncakbl", cut, keep, keep).reshape(tiles.shape)


def _drawn(pictures: NDArray[np.float32], rng: Rng) -> NDArray[np.float32]:
    """Return tiles (BATCH, 3, TILE, TILE) of some pictures, from anywhere."""
    out = []
    for _ in range(BATCH):
        top, left = rng.integers(SIDE - TILE + 1, size=2)
        one = pictures[int(rng.integers(len(pictures)))][:, top : top + TILE, left : left + TILE]
        out.append(one[:, :, ::-1] if rng.integers(2) else one)
    return np.ascontiguousarray(np.stack(out))


def _tiles(picture: NDArray[Any]) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Return the whole tiles (n, 3, TILE, TILE) of a picture, and how many rows and columns."""
    rows, columns = (length // TILE for length in picture.shape[1:])
    whole = np.asarray(picture, np.float32)[:, : rows * TILE, : columns * TILE]
    cut = whole.reshape(3, rows, TILE, columns, TILE).transpose(1, 3, 0, 2, 4)
    return np.ascontiguousarray(cut).reshape(-1, 3, TILE, TILE), (rows, columns)


def _turned(key: int) -> NDArray[np.int64]:
    return np.random.default_rng(key).integers(0, 2, BITS)

"""Surrogate descent: train a surrogate of the owner's detector, and descend it by its gradient.

Saberi et al. (arXiv:2310.00076) train a classifier of marked and unmarked pictures and run
projected gradient descent (arXiv:1706.06083) against it: what fools the surrogate fools the
detector where both look at the same pixels. The attacker needs marked pictures of the owner and
pictures of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.data_to_data.watermark._shared.pictures import published, strongest
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.errors import MissingExtra
from hartley.games.watermark.watermark import WatermarkBrief, watermark
from hartley.kit.eager_optimizers import eager

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

CHANNELS = 16
PATCH, BATCH = 48, 12
"""Pixels of a side of the patches that the surrogate learns from, and patches of a step."""


@attack(
    game=watermark,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="arXiv:2310.00076",
    game_params={"others": 32},
    light={"training": 2, "descents": 2},
)
def surrogate_descent(
    view: View[WatermarkBrief],
    rng: Rng,
    *,
    training: Annotated[int, Range(1), Stronger.MORE] = 60,
    descents: Annotated[int, Range(1), Stronger.MORE] = 10,
    reach: Annotated[float, Range(0, 1, open_low=True), Stronger.MORE] = 0.05,
    steps: Annotated[int, Range(1), Stronger.MORE] = 6,
) -> Outcome:
    """Change the picture until the surrogate takes it for unmarked, as far as the floor allows.

    Args:
        training: steps of the surrogate's training.
        descents: gradient steps on the picture.
        reach: root mean square of the change of a pixel, in 0..1, at which the steps end.
        steps: bisections of how much of that change is published.

    Raises:
        MissingExtra: torch is not installed.
    """
    marked = view.data.x[0]
    kinds = [
        [one for one in items.x if one.shape == marked.shape]
        for items in (view.brief.public, view.brief.others)
    ]
    if not all(kinds):
        return published(marked, "untouched")
    network = _trained(kinds, training, rng)
    start = rng.normal(0, reach / 4, marked.shape)
    change = _descended(marked, network, start, descents, reach)
    evaded = strongest(lambda s: marked + s * change, view.brief.holds, marked, steps)
    return published(evaded, "evaded")


def _trained(kinds: list[list[NDArray[Any]]], training: int, rng: Rng) -> Any:
    """Return a network (n, 3, h, w) → (n,) how marked, trained on unmarked and marked pictures."""
    try:
        import torch
        from torch import nn
    except ImportError as error:
        raise MissingExtra("torch", "torch") from error
    drawn = torch.Generator().manual_seed(int(rng.integers(2**31)))
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
                draw = torch.randn(layer.weight.shape, generator=drawn)
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


def _descended(
    marked: NDArray[Any], network: Any, first: NDArray[Any], descents: int, reach: float
) -> NDArray[np.float32]:
    """Return a change (3, h, w), as large as ``reach``, that lowers what the surrogate reads."""
    import torch

    start = torch.from_numpy(np.array(marked, np.float32))
    change = torch.from_numpy(np.array(first, np.float32)).requires_grad_()
    for _ in range(descents):
        read = network((start + change - 0.5)[None]).mean()
        (slope,) = torch.autograd.grad(read, change)
        with torch.no_grad():
            change -= (2 * reach / descents) * slope / (slope.square().mean().sqrt() + 1e-12)
            change *= min(1.0, reach / float(change.square().mean().sqrt() + 1e-12))
    out: NDArray[np.float32] = change.detach().numpy()
    return out

"""What records look like in general: a small variational autoencoder of somebody's own records.

An attacker who searches among likely records only, instead of among all arrays of numbers, finds
pictures and not patterns that merely please a classifier (GMI, arXiv:1911.07135). The prior learns
from unlabelled records, knows no victim, and is kept on disk by content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit import cache

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

LATENT, HIDDEN, BATCH, RATE = 12, 128, 64, 2e-3
PASSES, MOST = 3, 1500


@dataclass(frozen=True, slots=True)
class Prior:
    """A trained autoencoder.

    Attributes:
        weights: of encoder and decoder, by name.
        shape: of a record.
        limits: least and largest value of a record.
    """

    weights: Mapping[str, NDArray[np.float32]]
    shape: tuple[int, ...]
    limits: tuple[float, float]

    @property
    def latent(self) -> int:
        """Numbers that stand for a record."""
        return int(self.weights["in.weight"].shape[1])

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Records (n, …) of latent points (n, latent); differentiable."""
        import torch

        w = {name: torch.from_numpy(np.array(a)) for name, a in self.weights.items()}
        low, high = self.limits
        hidden = torch.relu(z @ w["in.weight"].T + w["in.bias"])
        out = torch.sigmoid(hidden @ w["out.weight"].T + w["out.bias"])
        return (low + (high - low) * out).reshape(len(z), *self.shape)

    def records(self, z: NDArray[Any]) -> NDArray[np.float32]:
        """Records (n, …) of latent points, as arrays."""
        import torch

        with torch.no_grad():
            return np.asarray(self.decode(torch.from_numpy(np.array(z, np.float32))).numpy())


def learn(x: NDArray[Any], *, seed: int = 0, steps: int = 0, latent: int = LATENT) -> Prior:
    """Train a prior on records (n, …), or recall it.

    Args:
        x: the records.
        seed: of weights and batches.
        steps: of Adam; 0 takes as many as the records are worth.
        latent: numbers that stand for a record.
    """
    steps = steps or min(MOST, PASSES * len(x))
    limits = float(x.min()), float(x.max())
    recipe = {
        "version": 1, "x": x, "seed": seed, "steps": steps, "latent": latent,
        "net": [HIDDEN, BATCH, RATE],
    }  # fmt: skip
    kept = cache.cached("prior", recipe, lambda: _train(x, limits, seed, (steps, latent)))
    return Prior(kept, tuple(x.shape[1:]), limits)


def _train(
    x: NDArray[Any], limits: tuple[float, float], seed: int, size: tuple[int, int]
) -> dict[str, NDArray[np.float32]]:
    import torch
    from torch import nn

    steps, latent = size
    rng = np.random.default_rng(seed)
    width = prod(x.shape[1:])
    scale = max(limits[1] - limits[0], 1e-12)
    data = torch.from_numpy(((x.reshape(len(x), -1) - limits[0]) / scale).astype(np.float32))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        encoder: Any = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * latent)
        )
        decoder: Any = nn.Sequential(nn.Linear(latent, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, width))
    mover = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=RATE)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(mover, steps)
    for _ in range(steps):
        rows = data[torch.from_numpy(rng.integers(0, len(data), BATCH))]
        mean, spread = encoder(rows).chunk(2, 1)
        noise = torch.from_numpy(rng.standard_normal((BATCH, latent)).astype(np.float32))
        seen = decoder(mean + (spread / 2).exp() * noise)
        loss = nn.functional.binary_cross_entropy_with_logits(seen, rows, reduction="sum")
        loss = loss - 0.5 * (1 + spread - mean**2 - spread.exp()).sum()
        mover.zero_grad()
        (loss / BATCH).backward()
        mover.step()
        fall.step()
    named = {"in.weight": decoder[0].weight, "in.bias": decoder[0].bias}
    named |= {"out.weight": decoder[2].weight, "out.bias": decoder[2].bias}
    return {name: value.detach().numpy().copy() for name, value in named.items()}

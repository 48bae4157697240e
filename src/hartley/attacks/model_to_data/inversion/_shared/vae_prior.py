"""A small variational autoencoder of the attacker's records, as a prior of what records look like.

An attacker who searches among likely records instead of all arrays of numbers finds pictures and
not adversarial patterns (GMI, arXiv:1911.07135). The prior is trained on unlabelled records,
independently of any victim, and cached on disk.
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
        """The dimension of the latent space."""
        return int(self.weights["in.weight"].shape[1])

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Return the records (n, …) of latent points (n, latent); differentiable."""
        import torch

        w = {name: torch.from_numpy(np.array(a)) for name, a in self.weights.items()}
        low, high = self.limits
        hidden = torch.relu(z @ w["in.weight"].T + w["in.bias"])
        out = torch.sigmoid(hidden @ w["out.weight"].T + w["out.bias"])
        return (low + (high - low) * out).reshape(len(z), *self.shape)

    def records(self, z: NDArray[Any]) -> NDArray[np.float32]:
        """Return the records (n, …) of latent points (n, latent), as arrays."""
        import torch

        with torch.no_grad():
            return np.asarray(self.decode(torch.from_numpy(np.array(z, np.float32))).numpy())


def learn(x: NDArray[Any], *, seed: int = 0, steps: int = 0, latent: int = LATENT) -> Prior:
    """Return a prior of records, trained or from the cache.

    Args:
        x: (n, …) records.
        seed: of the weights and the batches.
        steps: steps of Adam; 0 takes ``PASSES`` per record, up to ``MOST``.
        latent: dimension of the latent space.
    """
    steps = steps or min(MOST, PASSES * len(x))
    limits = float(x.min()), float(x.max())
    recipe = {
        "version": 1, "x": x, "seed": seed, "steps": steps, "latent": latent,
        "net": [HIDDEN, BATCH, RATE],
    }  # fmt: skip
    weights = cache.cached("prior", recipe, lambda: _train(x, limits, seed, (steps, latent)))
    return Prior(weights, tuple(x.shape[1:]), limits)


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
    optimiser = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        rows = data[torch.from_numpy(rng.integers(0, len(data), BATCH))]
        mean, spread = encoder(rows).chunk(2, 1)
        noise = torch.from_numpy(rng.standard_normal((BATCH, latent)).astype(np.float32))
        decoded = decoder(mean + (spread / 2).exp() * noise)
        loss = nn.functional.binary_cross_entropy_with_logits(decoded, rows, reduction="sum")
        loss = loss - 0.5 * (1 + spread - mean**2 - spread.exp()).sum()
        optimiser.zero_grad()
        (loss / BATCH).backward()
        optimiser.step()
        schedule.step()
    parameters = {"in.weight": decoder[0].weight, "in.bias": decoder[0].bias}
    parameters |= {"out.weight": decoder[2].weight, "out.bias": decoder[2].bias}
    return {name: value.detach().numpy().copy() for name, value in parameters.items()}

"""A small network that takes noise out of records: the reformer of MagNet (arXiv:1705.09064)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.kit.eager_optimizers import eager

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 64
RATE = 2e-3


@dataclass(frozen=True, slots=True, eq=False)
class Denoiser:
    """A trained denoiser: one hidden layer, which computes what to subtract from a record.

    Attributes:
        into, bias, out, last: weights (d, w), (w,), (w, d), (d,) of records in units of the scale.
        scale: (d,) units of a record's entries; an entry of scale 0 passes as it is.
        low, high: (d,) least and largest values of an entry.
    """

    into: NDArray[np.float32]
    bias: NDArray[np.float32]
    out: NDArray[np.float32]
    last: NDArray[np.float32]
    scale: NDArray[np.float32]
    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return records (n, …) without what the network takes for noise."""
        flat = np.asarray(x, np.float32).reshape(len(x), -1)
        clean = np.clip(flat - self._noise(flat)[0], self.low, self.high)
        return np.asarray(np.where(self.scale > 0, clean, flat), np.float32).reshape(np.shape(x))

    def pulled_back(self, x: NDArray[Any], slope: NDArray[Any]) -> NDArray[np.float32]:
        """Return the slope at records x (n, …), given that at the denoised records (n, …).

        Clipping passes it straight through.
        """
        flat = np.asarray(x, np.float32).reshape(len(x), -1)
        above = np.asarray(slope, np.float32).reshape(len(x), -1)
        live = np.where(self.scale > 0, above, 0)
        _, hidden = self._noise(flat)
        unit = np.where(self.scale > 0, self.scale, 1)
        behind = ((live * self.scale) @ self.out.T * (hidden > 0)) @ self.into.T / unit
        return np.asarray(above - behind, np.float32).reshape(np.shape(x))

    def _noise(self, flat: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
        hidden = np.maximum(
            (flat / np.where(self.scale > 0, self.scale, 1)) @ self.into + self.bias, 0
        )
        return (hidden @ self.out + self.last) * self.scale, hidden


def trained_denoiser(
    x: NDArray[Any],
    *,
    sigma: float,
    epsilon: float,
    width: int,
    epochs: int,
    scale: NDArray[Any] | float,
    low: NDArray[Any] | float,
    high: NDArray[Any] | float,
    seed: int,
) -> Denoiser:
    """Train a denoiser by Adam to give clean records back.

    Half of the records of a step carry normal noise and half carry signs of the size of the budget,
    as attacks on the largest change of an entry do.

    Args:
        x: clean records (n, …).
        sigma: largest standard deviation of the normal noise, in units of the scale.
        epsilon: size of the signs, in the same units.
        width: of the hidden layer.
        epochs: passes over the records; with 0 it passes records as they are.
        scale, low, high: of an entry, one number each or (*record).
        seed: of its weights, the order of the records and the noise.
    """
    import torch

    flat = np.asarray(x, np.float32).reshape(len(x), -1)
    size = flat.shape[1]
    shaped = [np.broadcast_to(np.asarray(v, np.float32), x.shape[1:]).reshape(-1).copy()
              for v in (scale, low, high)]  # fmt: skip
    unit = torch.from_numpy(np.where(shaped[0] > 0, shaped[0], 1))
    noisy = torch.from_numpy((shaped[0] > 0).astype(np.float32))
    rng = torch.Generator().manual_seed(seed % 2**63)
    records = torch.from_numpy(flat) / unit
    weights = [
        torch.randn(size, width, generator=rng) * (2 / size) ** 0.5,
        torch.zeros(width),
        torch.zeros(width, size),  # it begins as the identity
        torch.zeros(size),
    ]
    for weight in weights:
        weight.requires_grad_()
    optimizer = eager("Adam")(weights, lr=RATE)
    steps = epochs * -(-len(flat) // BATCH)
    into, bias, out, last = weights
    for step in range(steps):
        if step % -(-len(flat) // BATCH) == 0:
            order = torch.randperm(len(flat), generator=rng)
        start = (step * BATCH) % (-(-len(flat) // BATCH) * BATCH)
        clean = records[order[start : start + BATCH]]
        spread = torch.rand(len(clean), 1, generator=rng) * sigma
        noise = torch.randn(clean.shape, generator=rng)
        signs = epsilon * torch.sign(noise)
        half = torch.arange(len(clean))[:, None] % 2 == 0
        noise = torch.where(half, spread * noise, signs) * noisy
        changed = clean + noise
        hidden = torch.relu(changed @ into + bias)
        loss = ((changed - (hidden @ out + last) - clean) ** 2 * noisy).mean()
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    arrays = [weight.detach().numpy().copy() for weight in weights]
    return Denoiser(*arrays, *shaped)

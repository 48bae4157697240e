"""Small encoders, K of them trained at once so that like records get like embeddings.

What SimCLR does (arXiv:2002.05709), with the partners of supervised contrastive learning
(arXiv:2004.11362): a record lies nearer to its partner than to the other partners of the batch. The
partner is the record itself, seen through other noise, or another record of its group. Encoder k
depends on its own number and records alone.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.core.errors import UsageError
from hartley.kit import kmeans
from hartley.kit.fused_adam import FusedAdamW

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Stack = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Contrast:
    """How encoders are built and trained.

    Attributes:
        hidden: width of the hidden layer.
        width: of an embedding.
        epochs: passes over an encoder's own records.
        batch: records a step.
        lr: learning rate.
        temperature: of the contrast.
        noise: standard deviation of the noise in both views of a pair.
        alone: share of pairs in which the partner is the record itself.
    """

    hidden: int = 128
    width: int = 32
    epochs: int = 80
    batch: int = 128
    lr: float = 3e-3
    temperature: float = 0.2
    noise: float = 0.1
    alone: float = 0.1

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch < 2 or self.lr <= 0 or self.temperature <= 0:
            raise UsageError(
                f"training must have epochs ≥ 0, batch ≥ 2, lr > 0 and temperature > 0, got {self}"
            )

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return {"contrast": 1, **asdict(self)}


def first_weights(rng: np.random.Generator, d: int, hidden: int, width: int) -> Stack:
    """Return the weights of one encoder before its training."""
    return {
        "0.weight": (rng.standard_normal((d, hidden)) * np.sqrt(2 / d)).astype(np.float32),
        "0.bias": np.zeros(hidden, np.float32),
        "1.weight": (rng.standard_normal((hidden, width)) / np.sqrt(hidden)).astype(np.float32),
        "1.bias": np.zeros(width, np.float32),
    }


def train_encoders(
    how: Contrast,
    x: NDArray[Any],
    groups: NDArray[Any],
    include: NDArray[Any],
    *,
    seed: int,
    first: int = 0,
) -> tuple[Stack, dict[str, Any]]:
    """Train one encoder on each subset.

    Args:
        how: the recipe.
        x: (n, …) records.
        groups: (n,) which records are alike.
        include: (K, n) booleans: which encoder trains on which record.
        seed: of first weights and orders.
        first: number of the first encoder.

    Returns:
        Weights by name, each (K, …), and facts.
    """
    import torch

    started = time.perf_counter()
    rows = kmeans.flat(x).astype(np.float32)
    streams = [
        np.random.default_rng(spawn(seed, "encoder", first + i)) for i in range(len(include))
    ]
    starts = [first_weights(rng, rows.shape[1], how.hidden, how.width) for rng in streams]
    plans = [
        _pairs(how, rng, np.flatnonzero(mask), groups)
        for rng, mask in zip(streams, include, strict=True)
    ]
    done = {name: np.stack([start[name] for start in starts]) for name in starts[0]}
    weights = {name: torch.from_numpy(w.copy()).requires_grad_() for name, w in done.items()}
    adam = FusedAdamW(list(weights.values()), how.lr, decay=1e-4)
    steps, idle = np.array([len(plan) for plan in plans]), np.zeros((2, how.batch), np.int64)
    for at in range(int(steps.max(initial=0))):
        # An encoder without steps left goes on with others' numbers; its own are in ``done``.
        pairs = np.stack([plan[at] if at < len(plan) else idle for plan in plans])
        noise = [rng.standard_normal((2, how.batch, rows.shape[1]), np.float32) for rng in streams]
        views = torch.from_numpy(rows[pairs] + how.noise * np.stack(noise))
        for w in weights.values():
            w.grad = None
        a, b = (_unit(weights, views[:, side]) for side in (0, 1))
        alike = torch.bmm(a, b.transpose(1, 2)) / how.temperature
        matched = torch.diagonal(alike, dim1=1, dim2=2)
        loss = (alike.logsumexp(2) + alike.logsumexp(1) - 2 * matched).mean(1).sum() / 2
        loss.backward()
        adam.step()
        for k in np.flatnonzero(steps == at + 1):
            for name, w in weights.items():
                done[name][k] = w[k].detach().numpy()
    return done, {"strategy": "batched", "seconds": time.perf_counter() - started}


def embed(weights: Stack, x: NDArray[Any]) -> NDArray[np.float32]:
    """Embeddings (n, width) of records by one encoder, each of length 1."""
    rows = kmeans.flat(x).astype(np.float32)
    hidden = np.maximum(rows @ weights["0.weight"] + weights["0.bias"], 0)
    raw = hidden @ weights["1.weight"] + weights["1.bias"]
    return np.asarray(raw / np.maximum(np.linalg.norm(raw, axis=1, keepdims=True), 1e-12))


def _unit(weights: dict[str, Any], x: Any) -> Any:
    """Embeddings (K, batch, width) of records (K, batch, d)."""
    import torch
    from torch.nn import functional

    hidden = torch.relu(torch.baddbmm(weights["0.bias"][:, None], x, weights["0.weight"]))
    return functional.normalize(
        torch.baddbmm(weights["1.bias"][:, None], hidden, weights["1.weight"]), dim=-1
    )


def _pairs(
    how: Contrast, rng: np.random.Generator, members: NDArray[Any], groups: NDArray[Any]
) -> NDArray[np.int64]:
    """Records and partners (steps, 2, batch) of one encoder."""
    size = len(members) // how.batch * how.batch
    if not size and len(members) > 1:
        raise UsageError(
            f"records must be at least one batch of {how.batch} (or fewer than 2), "
            f"got {len(members)}"
        )
    if not size or not how.epochs:
        return np.zeros((0, 2, how.batch), np.int64)
    order = np.concatenate([rng.permutation(members)[:size] for _ in range(how.epochs)])
    partner = order.copy()
    swapped = rng.random(len(order)) >= how.alone
    for group in np.unique(groups[members]):
        alike = members[groups[members] == group]
        places = np.flatnonzero(swapped & (groups[order] == group))
        partner[places] = rng.choice(alike, len(places))
    return np.stack([order, partner], 1).reshape(-1, how.batch, 2).transpose(0, 2, 1)

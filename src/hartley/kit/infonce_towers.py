"""Pairs of projections into a shared space, K pairs trained at once by InfoNCE.

What CLIP does on top of two frozen towers (arXiv:2103.00020): a linear map for pictures and one for
captions, so that a picture lies nearer to its own caption than to the others of the batch. All K
pairs are one stacked computation; pair k depends on its own number and records alone.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Stack = dict[str, NDArray[Any]]
    """Weights by name, each (K, …)."""

SHARPEST = np.log(100.0)
"""Largest logarithm of the inverse temperature, as in the paper."""


@dataclass(frozen=True, slots=True)
class Towers:
    """How pairs of projections are built and trained: AdamW with a rate that falls to 0.

    Attributes:
        split: columns of a record that are the picture's features; the others are the caption's.
        width: of the shared space.
        epochs: passes over a model's own records.
        batch: pairs a step: a pair is contrasted with the others of its batch.
        lr: first learning rate.
        decay: decoupled weight decay.
        pool: captions of which the nearest replaces a picture's own (arXiv:2303.06854); 0 for
            none.
        every: passes of which the last is trained with the pool.
        dropout: share of a picture's features that a step leaves out; of a caption's, a third of
            it.
    """

    split: int
    width: int = 128
    epochs: int = 30
    batch: int = 128
    lr: float = 1e-3
    decay: float = 0.05
    pool: int = 0
    every: int = 2
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.split < 1 or self.epochs < 0 or self.batch < 2 or self.lr <= 0:
            raise UsageError(
                f"training must have split ≥ 1, epochs ≥ 0, batch ≥ 2 and lr > 0, got {self}"
            )
        if self.pool < 0 or self.every < 1:
            raise UsageError(f"training must have pool ≥ 0 and every ≥ 1, got {self}")
        if not 0.0 <= self.dropout < 1.0:
            raise UsageError(f"dropout must be from 0 to below 1, got {self.dropout}")

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        recipe = {"pairs": 1, **asdict(self)}
        if not self.dropout:
            del recipe["dropout"]
        return recipe


def train_towers(
    how: Towers, x: NDArray[Any], include: NDArray[Any], seed: int, first: int = 0
) -> tuple[Stack, dict[str, Any]]:
    """Train one pair of projections on each subset.

    Args:
        how: the recipe.
        x: (n, d) records, features side by side.
        include: (K, n) booleans: which model trains on which pair.
        seed: of first weights and orders.
        first: number of the first model.

    Returns:
        ``image`` (K, split, width), ``text`` (K, d − split, width) and ``sharp`` (K,), and facts.
    """
    import torch

    started = time.perf_counter()
    d, count = x.shape[1], len(include)
    streams = [np.random.default_rng(spawn(seed, "pairs", first + i)) for i in range(count)]
    sides = (how.split, d - how.split)
    weights = [
        torch.from_numpy(
            np.stack([rng.standard_normal((side, how.width)) / np.sqrt(side) for rng in streams])
        ).float()
        for side in sides
    ]
    weights.append(torch.full((count,), float(np.log(1 / 0.07))))
    members = [np.flatnonzero(row) for row in include]
    orders = [_order(rng, rows, how) for rng, rows in zip(streams, members, strict=True)]
    steps = np.array([len(order) for order in orders])
    records = torch.from_numpy(np.array(x, dtype=np.float32))
    moments = [(torch.zeros_like(w), torch.zeros_like(w)) for w in weights]
    for at in range(int(steps.max(initial=0))):
        # A model without steps left stops: its rate is 0.
        rates = torch.from_numpy(how.lr * np.maximum(0.0, 1 - at / np.maximum(steps, 1))).float()
        batch = np.stack([o[at] if at < len(o) else np.zeros(how.batch, np.int64) for o in orders])
        pairs = records[torch.from_numpy(batch)]
        if how.pool:
            passes = at // np.maximum(steps // max(how.epochs, 1), 1)
            anew = (at < steps) & (passes % how.every == how.every - 1)
            if anew.any():
                pools = np.zeros((count, how.pool), np.int64)
                for k in np.flatnonzero(anew):
                    pools[k] = streams[k].choice(members[k], how.pool)
                among = records[torch.from_numpy(pools)]
                pairs = torch.where(
                    torch.from_numpy(anew)[:, None, None],
                    _captioned_anew(how, weights, pairs, among),
                    pairs,
                )
        if how.dropout:
            pairs = pairs * _left(how, streams, at < steps, pairs.shape)
        slopes = _slopes(how, weights, pairs)
        for w, g, moment in zip(weights, slopes, moments, strict=True):
            _adam(w, g, moment, rates, at + 1, decay=how.decay if w.ndim > 1 else 0.0)
        weights[2].clamp_(max=float(SHARPEST))
    stack = dict(zip(("image", "text", "sharp"), (w.numpy() for w in weights), strict=True))
    return stack, {"strategy": "batched", "seconds": time.perf_counter() - started}


def embed_pairs(image: NDArray[Any], text: NDArray[Any], x: NDArray[Any]) -> NDArray[np.float32]:
    """Embeddings (n, 2·width) of records: the picture's, then the caption's, each of length 1."""
    split = len(image)
    halves = [np.asarray(x[:, :split]) @ image, np.asarray(x[:, split:]) @ text]
    unit = [h / np.maximum(np.linalg.norm(h, axis=1, keepdims=True), 1e-12) for h in halves]
    return np.asarray(np.concatenate(unit, 1), dtype=np.float32)


def pulled_back(
    image: NDArray[Any], text: NDArray[Any], x: NDArray[Any], towards: NDArray[Any]
) -> NDArray[np.float32]:
    """Gradient (n, d) in the records of the inner product of embeddings with ``towards``.

    Args:
        image, text, x: as of ``embed_pairs``.
        towards: (n, 2·width).
    """
    split, width = len(image), image.shape[1]
    halves = []
    sides = (x[:, :split], image, towards[:, :width]), (x[:, split:], text, towards[:, width:])
    for features, tower, y in sides:
        vector = np.asarray(features) @ tower
        length = np.maximum(np.linalg.norm(vector, axis=1, keepdims=True), 1e-12)
        unit = vector / length
        across = y - unit * (unit * y).sum(1, keepdims=True)
        halves.append((across / length) @ tower.T)
    return np.asarray(np.concatenate(halves, 1), dtype=np.float32)


def _order(rng: np.random.Generator, records: NDArray[Any], how: Towers) -> NDArray[np.int64]:
    """Records of every step: full batches, each without repeated records."""
    size = len(records) // how.batch * how.batch
    if not size:
        if len(records) < 2:
            return np.empty((0, how.batch), np.int64)
        raise UsageError(
            f"pairs must be at least one batch of {how.batch} (or fewer than 2), got {len(records)}"
        )
    passes = [rng.permutation(records)[:size] for _ in range(how.epochs)]
    return np.concatenate([*passes, np.empty(0, np.int64)]).astype(np.int64).reshape(-1, how.batch)


def _left(how: Towers, streams: list[np.random.Generator], runs: NDArray[Any], shape: Any) -> Any:
    """Return factors (K, batch, d): 0 for features that are left out, the others make up for it."""
    import torch

    rates = np.full(shape[2], how.dropout / 3, dtype=np.float32)
    rates[: how.split] = how.dropout
    out = np.ones(shape, dtype=np.float32)
    for k in np.flatnonzero(runs):
        out[k] = (streams[k].random(shape[1:], dtype=np.float32) >= rates) / (1 - rates)
    return torch.from_numpy(out)


def _captioned_anew(how: Towers, weights: list[Any], pairs: Any, among: Any) -> Any:
    """Return pairs (K, batch, d), each with the nearest caption of a pool (K, pool, d) of pairs."""
    import torch
    from torch.nn import functional

    pictures = functional.normalize(torch.bmm(pairs[..., : how.split], weights[0]), dim=-1)
    captions = functional.normalize(torch.bmm(among[..., how.split :], weights[1]), dim=-1)
    nearest = torch.bmm(pictures, captions.transpose(1, 2)).argmax(2)
    words = among[..., how.split :]
    anew = words.gather(1, nearest[..., None].expand(-1, -1, words.shape[2]))
    return torch.cat([pairs[..., : how.split], anew], 2)


def _slopes(how: Towers, weights: list[Any], batch: Any) -> Any:
    """Gradients of the mean of both cross-entropies, summed over the models."""
    import torch
    from torch.nn import functional

    for w in weights:
        w.requires_grad_()
    image = functional.normalize(torch.bmm(batch[..., : how.split], weights[0]), dim=-1)
    text = functional.normalize(torch.bmm(batch[..., how.split :], weights[1]), dim=-1)
    alike = torch.bmm(image, text.transpose(1, 2)) * weights[2].exp()[:, None, None]
    matched = torch.diagonal(alike, dim1=1, dim2=2)
    loss = (alike.logsumexp(2) + alike.logsumexp(1) - 2 * matched).mean(1).sum() / 2
    slopes = torch.autograd.grad(loss, weights)
    for w in weights:
        w.requires_grad_(False)
    return slopes


def _adam(w: Any, g: Any, moments: Any, rates: Any, step: int, *, decay: float) -> None:
    """One step of AdamW in place, every model at a rate of its own."""
    mean, square = moments
    mean.lerp_(g, 0.1)
    square.mul_(0.999).addcmul_(g, g, value=0.001)
    rate = rates.view(-1, *[1] * (w.ndim - 1))
    if decay:
        w.mul_(1 - rate * decay)
    root = (square / (1 - 0.999**step)).sqrt_().add_(1e-8)
    w.sub_(rate * (mean / (1 - 0.9**step)) / root)

"""How a fleet is trained: the recipe, the batches every model sees, and the rule of strategy.

Everything a model's result depends on is settled here from its own number: its first weights and
the order of its records come from the stream ``(seed, "fleet", k)``. So model k is the same
whether it is trained alone or with 63 others, in whatever grouping and on however many workers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import spawn
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.kit.nets import Net

STRATEGIES = ("batched", "loop", "plain")
GROUP = {"cpu": 16, "cuda": 256}
"""Models in one batched computation. On a CPU the stack of weights, gradients and moments should
stay in the second-level cache (design/fleet.md); on a GPU the more the better."""


@dataclass(frozen=True, slots=True)
class Training:
    """A training recipe: Adam on the cross-entropy.

    Attributes:
        epochs: passes over a model's own records.
        batch: records a step. Batches run on across the border of two passes, so that all are full.
        lr: learning rate, of the first step if it anneals.
        decay: decoupled weight decay (AdamW).
        anneal: let the learning rate fall linearly to 0 over a model's own steps.
    """

    epochs: int = 40
    batch: int = 32
    lr: float = 1e-3
    decay: float = 0.0
    anneal: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.batch < 1 or self.lr <= 0:
            raise UsageError(f"training must have epochs ≥ 0, batch ≥ 1 and lr > 0, got {self}")

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Lesson:
    """What all models of a group share: the net, the records on their device, and the recipe.

    Attributes:
        net: the architecture.
        x: (n, …) records.
        targets: (n, classes) rows that sum to 1; or (K, n, classes), each model's own.
        training: the recipe.
    """

    net: Net
    x: torch.Tensor
    targets: torch.Tensor
    training: Training


def choose_strategy(net: Net, device: str, strategy: str = "auto") -> str:
    """Return the strategy: a fixed rule, from the measurements that ``bench/fleet.py`` prints.

    Stacked computation where the work per call is small against the cost of calling (dense nets)
    or the device is wide (GPU); a tight loop for convolutions on a CPU, where the batched
    convolution kernels are slower than one model after another.

    Raises:
        UsageError: an unknown strategy.
    """
    if strategy == "auto":
        return "batched" if net.kind == "dense" or device != "cpu" else "loop"
    if strategy not in STRATEGIES:
        raise UsageError(f"strategy must be one of auto, {', '.join(STRATEGIES)}, got {strategy!r}")
    return strategy


def stream(seed: int, k: int) -> np.random.Generator:
    """Model k's own generator: first its weights are drawn from it, then its batches."""
    return np.random.default_rng(spawn(seed, "fleet", k))


def batches(
    rng: np.random.Generator, included: NDArray[np.bool_], training: Training
) -> NDArray[np.int32]:
    """Draw the records of every step: (steps, batch) indices into all records.

    The passes, each freshly shuffled, form one stream that is cut into full batches; the number of
    steps follows from the model's own record count alone. A model without records takes 0 steps.
    """
    records = np.flatnonzero(included).astype(np.int32)
    steps = round(training.epochs * len(records) / training.batch)
    if not steps:
        return np.empty((0, training.batch), np.int32)
    needed = steps * training.batch
    passes = -(-needed // len(records))
    order = np.concatenate([rng.permutation(records) for _ in range(passes)])
    return order[:needed].reshape(steps, training.batch)

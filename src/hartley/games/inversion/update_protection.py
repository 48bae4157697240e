"""Protection of a client's update before it is sent, and the accuracy that it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError
from hartley.kit import cache

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.games.inversion.client_step import Step

    Update = Mapping[str, NDArray[np.float32]]

STEPS, BATCH, RATE = 400, 32, 3e-3
"""Steps, batch and rate of the training on protected updates that measures their cost."""


@dataclass(frozen=True, slots=True)
class Protection:
    """Changes that a client makes to an update before sending it, in this order.

    Attributes:
        clip: largest norm of the update, which is scaled down to it; 0 means no limit.
        noise: standard deviation of Gaussian noise on every entry, in units of ``clip`` (of 1
            without clipping).
        keep: share of the entries that are sent, the largest of each array; the others are 0.
    """

    clip: float = 0.0
    noise: float = 0.0
    keep: float = 1.0

    def __post_init__(self) -> None:
        if self.clip < 0 or self.noise < 0 or not 0 < self.keep <= 1:
            raise UsageError(f"clip and noise must be at least 0 and keep in (0, 1], got {self}")

    @property
    def spread(self) -> float:
        """Standard deviation of the noise on an entry."""
        return self.noise * (self.clip or 1.0)

    @property
    def rho(self) -> float | None:
        """The zCDP of one update for any records, or None without clipping and noise.

        Two clipped updates differ by at most 2·clip: ρ = (2·clip)²/(2·spread²). Dropping entries
        afterwards does not change it.
        """
        return 2.0 / self.noise**2 if self.clip and self.noise else None

    def apply(self, update: Update, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """Return the update as it is sent."""
        arrays = {name: np.array(array, np.float64) for name, array in update.items()}
        if self.clip:
            norm = np.sqrt(sum(float((a**2).sum()) for a in arrays.values()))
            arrays = {
                name: a * min(1.0, self.clip / max(norm, 1e-12)) for name, a in arrays.items()
            }
        if self.noise:
            arrays = {n: a + rng.normal(0.0, self.spread, a.shape) for n, a in arrays.items()}
        if self.keep < 1:
            arrays = {name: _largest(a, self.keep) for name, a in arrays.items()}
        return {name: a.astype(np.float32) for name, a in arrays.items()}


def correctly_labelled(
    step: Step,
    train: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]],
    protection: Protection,
    *,
    seed: int = 0,
) -> NDArray[np.bool_]:
    """Return which test records (n,) a net labels correctly that is trained on protected updates.

    Adam takes one client per step. The accuracy measures the cost of the protection, which a model
    that is trained otherwise does not have.

    Args:
        step: how a client computes an update.
        train: the clients' records (n, …) and labels (n,).
        test: records and labels to score on.
        protection: of every update.
        seed: of weights, batches and noise.
    """
    recipe = {
        "net": step.net.recipe,
        "train": list(train),
        "test": list(test),
        "protection": [protection.clip, protection.noise, protection.keep],
        "steps": [STEPS, BATCH, RATE],
        "seed": seed,
        **step.recipe,
    }

    def build() -> dict[str, NDArray[Any]]:
        return {"right": _trained(step, train, test, protection, seed)}

    return cache.cached("federated", recipe, build)["right"]


def _trained(
    step: Step,
    train: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]],
    protection: Protection,
    seed: int,
) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    weights = {n: w.astype(np.float64) for n, w in step.net.initial(rng).items()}
    weights |= {n: np.zeros(shape) for n, shape in step.extra.items()}
    first = {n: np.zeros_like(w) for n, w in weights.items()}
    second = {n: np.zeros_like(w) for n, w in weights.items()}
    for t in range(1, STEPS + 1):
        rows = rng.integers(0, len(train[0]), BATCH)
        current = {n: w.astype(np.float32) for n, w in weights.items()}
        client_step = replace(step, epoch=(t - 1) * BATCH // len(train[0]))
        update = protection.apply(
            client_step.update(current, train[0][rows], train[1][rows], rng), rng
        )
        for name, g in update.items():
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g**2
            slope = first[name] / (1 - 0.9**t)
            slope /= np.sqrt(second[name] / (1 - 0.999**t)) + 1e-8
            weights[name] -= RATE * (1 - t / (STEPS + 1)) * slope
    import torch

    tensors = {n: torch.from_numpy(weights[n].astype(np.float32)) for n in step.net.shapes}
    with torch.no_grad():
        labels = step.net.forward(tensors, torch.from_numpy(np.array(test[0], np.float32))).argmax(
            1
        )
    return np.asarray(labels.numpy() == test[1])


def _largest(array: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    """Return the array with all but its largest entries set to 0; at least one remains."""
    flat = np.abs(array).reshape(-1)
    count = max(1, round(keep * flat.size))
    threshold = np.partition(flat, -count)[-count]
    return np.where(np.abs(array) >= threshold, array, 0.0)

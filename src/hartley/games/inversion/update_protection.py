"""What a client does to an update before he sends it, and what training on such updates costs."""

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
"""How a net is trained from protected updates when somebody asks what the protection costs."""


@dataclass(frozen=True, slots=True)
class Protection:
    """What a client does to an update before it is sent, in this order.

    Attributes:
        clip: the update is scaled down to this norm at most; 0 leaves it.
        noise: standard deviation of Gaussian noise on every entry, in units of ``clip`` (of 1
            where nothing is clipped).
        keep: share of the entries that are sent, the largest of each array; the others are 0.
    """

    clip: float = 0.0
    noise: float = 0.0
    keep: float = 1.0

    def __post_init__(self) -> None:
        if self.clip < 0 or self.noise < 0 or not 0 < self.keep <= 1:
            raise UsageError(f"not a protection of updates: {self}")

    @property
    def spread(self) -> float:
        """Standard deviation of the noise on an entry."""
        return self.noise * (self.clip or 1.0)

    @property
    def rho(self) -> float | None:
        """Zero-concentrated DP of one update, whatever its records; None where nothing is proved.

        Two clipped updates lie at most 2·clip apart: ρ = (2·clip)²/(2·spread²). What is left out
        afterwards costs nothing.
        """
        return 2.0 / self.noise**2 if self.clip and self.noise else None

    def apply(self, update: Update, rng: np.random.Generator) -> dict[str, NDArray[np.float32]]:
        """The update as it is sent."""
        sent = {name: np.array(array, np.float64) for name, array in update.items()}
        if self.clip:
            norm = np.sqrt(sum(float((a**2).sum()) for a in sent.values()))
            sent = {name: a * min(1.0, self.clip / max(norm, 1e-12)) for name, a in sent.items()}
        if self.noise:
            sent = {n: a + rng.normal(0.0, self.spread, a.shape) for n, a in sent.items()}
        if self.keep < 1:
            sent = {name: _largest(a, self.keep) for name, a in sent.items()}
        return {name: a.astype(np.float32) for name, a in sent.items()}


def right(
    step: Step,
    train: tuple[NDArray[Any], NDArray[Any]],
    test: tuple[NDArray[Any], NDArray[Any]],
    protection: Protection,
    *,
    seed: int = 0,
) -> NDArray[np.bool_]:
    """Where a net is right (n,) that Adam trained on protected updates, one client a step.

    This is what a protection of updates costs: no model that was trained otherwise feels it.

    Args:
        step: how a client computes his update.
        train: records (n, …) and labels (n,) that the clients hold.
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
        now = {n: w.astype(np.float32) for n, w in weights.items()}
        taken = replace(step, epoch=(t - 1) * BATCH // len(train[0]))
        sent = protection.apply(taken.update(now, train[0][rows], train[1][rows], rng), rng)
        for name, g in sent.items():
            first[name] = 0.9 * first[name] + 0.1 * g
            second[name] = 0.999 * second[name] + 0.001 * g**2
            slope = first[name] / (1 - 0.9**t)
            slope /= np.sqrt(second[name] / (1 - 0.999**t)) + 1e-8
            weights[name] -= RATE * (1 - t / (STEPS + 1)) * slope
    import torch

    held = {n: torch.from_numpy(weights[n].astype(np.float32)) for n in step.net.shapes}
    with torch.no_grad():
        said = step.net.forward(held, torch.from_numpy(np.array(test[0], np.float32))).argmax(1)
    return np.asarray(said.numpy() == test[1])


def _largest(array: NDArray[np.float64], keep: float) -> NDArray[np.float64]:
    """The array with all but its largest entries set to 0; one is kept at least."""
    flat = np.abs(array).reshape(-1)
    count = max(1, round(keep * flat.size))
    edge = np.partition(flat, -count)[-count]
    return np.where(np.abs(array) >= edge, array, 0.0)

"""Small nets that memorise a few records, and the reconstruction of records from their weights.

If a net is homogeneous in its weights and is trained long after it makes no mistakes, its weights
converge to a sum of gradients of its outputs on the training records, θ = Σ λ_i y_i ∇f(x_i) with
λ ≥ 0 (arXiv:2206.07758). An attacker who knows θ can search records that solve this equation. The
net has one hidden layer, f(x) = v · relu(W x + b), which is homogeneous and has gradients in closed
form, so that all computations are a few small matrix products.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Modality, Model, Output
from hartley.core.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng

Weights = Mapping[str, "NDArray[np.float64]"]
"""``first`` (h, d), ``bias`` (h,) and ``second`` (h,)."""

WIDTH, STEPS, START = 100, 3000, 0.3
CHOICES = 16
"""Largest number of candidates of a record, one of which is in the training set."""

SHARP = 100.0
"""Slope of the sigmoid that approximates the derivative of the ReLU."""


@dataclass(frozen=True, slots=True)
class SmallNets:
    """How an auditor trains small nets that memorise a few records.

    Attributes:
        learn: (centred records (n, d), labels (n,) −1 or 1, seed) → weights.
        records: number of records that a net is trained on.
    """

    learn: Callable[[NDArray[Any], NDArray[Any], int], Weights]
    records: int = 10


def slots(pool: Data, centre: NDArray[Any], count: int, rng: Rng) -> Data:
    """Return canaries (``canaries``) whose candidates are records, one of which is trained on.

    Labels are binary, even classes against odd ones, as in the paper.

    Args:
        pool: labelled records; each is a candidate of one canary at most.
        centre: (d,) mean that the net subtracts from every record.
        count: number of records that the net is trained on.
        rng: draws the candidates.

    Raises:
        UsageError: there are fewer than two candidates per canary.
    """
    assert pool.y is not None
    side = np.unique(pool.y, return_inverse=True)[1].reshape(-1) % 2
    order = rng.permutation(len(pool))
    by_side, need = [order[side[order] == s] for s in (0, 1)], [(count + 1) // 2, count // 2]
    r = min(
        [
            CHOICES,
            *(len(rows_of_side) // n for rows_of_side, n in zip(by_side, need, strict=True) if n),
        ]
    )
    if r < 2:
        raise UsageError(
            f"the pool must have at least 2 candidates for each of records = {count}, got "
            f"{len(pool)} records"
        )
    rows = np.stack([by_side[i % 2][i // 2 * r : (i // 2 + 1) * r] for i in range(count)])
    flat = pool.x.reshape(len(pool), -1)
    return replace(
        pool,
        name="slots",
        x=pool.x[rows[:, 0]],
        y=np.arange(count) % 2,
        role="canaries",
        facts={"cells": np.arange(flat.shape[1]), "codes": flat[rows], "centre": centre},
    )


def interpolate(x: NDArray[Any], y: NDArray[Any], seed: int) -> dict[str, NDArray[np.float64]]:
    """Train the net far beyond zero mistakes, by full gradients with growing steps.

    Args:
        x: (n, d) centred records.
        y: (n,) labels −1 or 1.
        seed: of the initial weights.
    """
    rng, n = np.random.default_rng(seed), len(x)
    w = rng.standard_normal((WIDTH, x.shape[1])) * START / np.sqrt(x.shape[1])
    b, v = np.zeros(WIDTH), rng.choice([-1.0, 1.0], WIDTH) * np.linalg.norm(w, axis=1)
    for _ in range(STEPS):
        preactivation = x @ w.T + b
        hidden = np.maximum(preactivation, 0)
        margin = y * (hidden @ v)
        slope = -y / (1 + np.exp(np.minimum(margin, 500))) / n
        loss = float(np.logaddexp(0, -margin).mean())
        hidden_slope = (slope[:, None] * v) * (preactivation > 0)
        change = hidden_slope.T @ x
        # The step grows as the loss falls, but changes the weights by a fiftieth at most.
        step = min(
            0.5 / max(loss, 1e-12),
            0.02 * float(np.linalg.norm(w)) / max(float(np.linalg.norm(change)), 1e-300),
        )
        v = v - step * (hidden.T @ slope)
        w, b = w - step * change, b - step * hidden_slope.sum(0)
    return {"first": w, "bias": b, "second": v}


INTERPOLATED = SmallNets(interpolate)
"""The default of a scene without ``SmallNets``."""


def victim(weights: Weights, canaries: Data) -> Model:
    """Return the trained net as a model whose weights an attacker may read; class 1 is odd."""
    centre = np.asarray(canaries.facts["centre"])
    frozen = {name: np.asarray(array) for name, array in weights.items()}

    def query(x: NDArray[Any]) -> NDArray[Any]:
        flat = np.asarray(x, dtype=np.float64).reshape(len(x), -1) - centre
        margin = np.maximum(flat @ frozen["first"].T + frozen["bias"], 0) @ frozen["second"]
        return np.stack([-margin / 2, margin / 2], 1)

    return Model(
        "small net",
        Modality.VISION,
        query,
        Output.LOGITS,
        2,
        weights=lambda: frozen,
        offers=Access.LABELS | Access.SCORES | Access.WEIGHTS,
        facts={"parameters": sum(a.size for a in frozen.values())},
    )


def reconstruct(
    weights: Weights, count: int, rng: Rng, *, steps: int, rate: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Search records whose gradients sum to the weights.

    Args:
        weights: of the net.
        count: number of records to search, half of each label; more than the net was trained on.
        rng: draws the initial records.
        steps: steps of Adam, the second half at a fifth of the rate.
        rate: step size.

    Returns:
        centred records (count, d), and their labels (count,) −1 or 1.
    """
    w, b, v = (np.asarray(weights[name]) for name in ("first", "bias", "second"))
    scale = np.sqrt((w**2).sum() + (b**2).sum())
    w, b, v = w / scale, b / scale, v / scale
    y = np.where(np.arange(count) % 2, 1.0, -1.0)
    size = w.shape[1]
    unknowns = np.concatenate([0.3 * rng.standard_normal((count, size)), rng.random((count, 1))], 1)
    mean, square = np.zeros_like(unknowns), np.zeros_like(unknowns)
    for step in range(1, steps + 1):
        slope = _slope(unknowns[:, :size], unknowns[:, size], y, (w, b, v))
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        step_size = rate if step <= steps // 2 else rate / 5
        unknowns -= (
            step_size * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        )
    return unknowns[:, :size], y


def _slope(
    x: NDArray[Any], share: NDArray[Any], y: NDArray[Any], net: tuple[NDArray[Any], ...]
) -> NDArray[np.float64]:
    """Return the gradient (m, d + 1) of ‖θ − Σ λ_i y_i ∇f(x_i)‖² by the records and their λ."""
    w, b, v = net
    preactivation = x @ w.T + b
    active = 1 / (1 + np.exp(-np.clip(SHARP * preactivation, -500, 500)))
    hidden = np.maximum(preactivation, 0)
    c = np.maximum(share, 0) * y
    weighted = active * v * c[:, None]
    first = weighted.T @ x - w
    bias = weighted.sum(0) - b
    second = hidden.T @ c - v
    through = x @ first.T + bias
    inner = c[:, None] * (
        v * through * SHARP * active * (1 - active) + second * (preactivation > 0)
    )
    of_x = weighted @ first + inner @ w
    of_c = (active * v * through).sum(1) + hidden @ second
    # A negative λ counts as 0; a small gradient keeps every record in the sum.
    of_share = y * of_c * (share > 0) - np.maximum(0.01 - share, 0)
    return 2 * np.concatenate([of_x, of_share[:, None]], 1)

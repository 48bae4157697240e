"""Training records in the weights of a small net that learnt few of them by heart.

A net that is homogeneous in its weights and is trained on long after it makes no mistake comes near
a point at which its weights are a sum of the gradients of its outputs on the training records,
θ = Σ λ_i y_i ∇f(x_i) with λ ≥ 0 (arXiv:2206.07758). Who holds θ can look for records that solve it.

The net has one hidden layer, f(x) = v · relu(W x + b): homogeneous, and the gradients have a closed
form, so that everything here is a few small matrix products.
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
"""Candidates of a slot: one was in the training set."""

SHARP = 100.0
"""Slope of the sigmoid that stands for the derivative of the ReLU."""


@dataclass(frozen=True, slots=True)
class SmallNets:
    """How an auditor trains small nets that know a few records by heart.

    Attributes:
        learn: (centred records (n, d), labels (n,) −1 or 1, seed) → weights.
        records: records that a net is trained on.
    """

    learn: Callable[[NDArray[Any], NDArray[Any], int], Weights]
    records: int = 10


def slots(pool: Data, centre: NDArray[Any], count: int, rng: Rng) -> Data:
    """Canaries (``canaries``), one candidate of each a record that is trained on.

    Labels are made binary, even classes against odd ones, as in the paper.

    Args:
        pool: labelled records; no candidate stands in two slots.
        centre: (d,) what the net subtracts from every record.
        count: records that the net trains on.
        rng: for the candidates.

    Raises:
        UsageError: fewer than two candidates a slot.
    """
    assert pool.y is not None
    side = np.unique(pool.y, return_inverse=True)[1].reshape(-1) % 2
    order = rng.permutation(len(pool))
    by, need = [order[side[order] == s] for s in (0, 1)], [(count + 1) // 2, count // 2]
    r = min([CHOICES, *(len(own) // n for own, n in zip(by, need, strict=True) if n)])
    if r < 2:
        raise UsageError(
            f"{len(pool)} records are too few for records = {count} slots of 2 candidates or more"
        )
    rows = np.stack([by[i % 2][i // 2 * r : (i // 2 + 1) * r] for i in range(count)])
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
    """Train the net until it is sure of every record, and on: full gradients, ever larger steps.

    Args:
        x: (n, d) centred records.
        y: (n,) labels −1 or 1.
        seed: of the first weights.
    """
    rng, n = np.random.default_rng(seed), len(x)
    w = rng.standard_normal((WIDTH, x.shape[1])) * START / np.sqrt(x.shape[1])
    b, v = np.zeros(WIDTH), rng.choice([-1.0, 1.0], WIDTH) * np.linalg.norm(w, axis=1)
    for _ in range(STEPS):
        before = x @ w.T + b
        after = np.maximum(before, 0)
        margin = y * (after @ v)
        pull = -y / (1 + np.exp(np.minimum(margin, 500))) / n
        loss = float(np.logaddexp(0, -margin).mean())
        inner = (pull[:, None] * v) * (before > 0)
        change = inner.T @ x
        # The step grows as the loss falls, but never moves the weights by more than a fiftieth.
        step = min(
            0.5 / max(loss, 1e-12),
            0.02 * float(np.linalg.norm(w)) / max(float(np.linalg.norm(change)), 1e-300),
        )
        v = v - step * (after.T @ pull)
        w, b = w - step * change, b - step * inner.sum(0)
    return {"first": w, "bias": b, "second": v}


INTERPOLATED = SmallNets(interpolate)
"""Where a scene says nothing of it."""


def victim(weights: Weights, canaries: Data) -> Model:
    """The trained net as a model whose weights an attacker may see; two classes, odd last."""
    centre = np.asarray(canaries.facts["centre"])
    frozen = {name: np.asarray(array) for name, array in weights.items()}

    def query(x: NDArray[Any]) -> NDArray[Any]:
        flat = np.asarray(x, dtype=np.float64).reshape(len(x), -1) - centre
        said = np.maximum(flat @ frozen["first"].T + frozen["bias"], 0) @ frozen["second"]
        return np.stack([-said / 2, said / 2], 1)

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
    """Look for records whose gradients add up to the weights.

    Args:
        weights: of the net.
        count: records to look for, half of each label; more than there were.
        rng: for where the search starts.
        steps: of Adam, the second half at a fifth of the rate.
        rate: of the steps.

    Returns:
        Centred records (count, d), and their labels (count,) −1 or 1.
    """
    w, b, v = (np.asarray(weights[name]) for name in ("first", "bias", "second"))
    scale = np.sqrt((w**2).sum() + (b**2).sum())
    w, b, v = w / scale, b / scale, v / scale
    y = np.where(np.arange(count) % 2, 1.0, -1.0)
    size = w.shape[1]
    found = np.concatenate([0.3 * rng.standard_normal((count, size)), rng.random((count, 1))], 1)
    mean, square = np.zeros_like(found), np.zeros_like(found)
    for step in range(1, steps + 1):
        slope = _slope(found[:, :size], found[:, size], y, (w, b, v))
        mean = 0.9 * mean + 0.1 * slope
        square = 0.999 * square + 0.001 * slope**2
        pace = rate if step <= steps // 2 else rate / 5
        found -= pace * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
    return found[:, :size], y


def _slope(
    x: NDArray[Any], share: NDArray[Any], y: NDArray[Any], net: tuple[NDArray[Any], ...]
) -> NDArray[np.float64]:
    """Gradient (m, d + 1) of ‖θ − Σ λ_i y_i ∇f(x_i)‖² in the records and their λ."""
    w, b, v = net
    before = x @ w.T + b
    active = 1 / (1 + np.exp(-np.clip(SHARP * before, -500, 500)))
    after = np.maximum(before, 0)
    c = np.maximum(share, 0) * y
    weighed = active * v * c[:, None]
    first = weighed.T @ x - w
    bias = weighed.sum(0) - b
    second = after.T @ c - v
    through = x @ first.T + bias
    inner = c[:, None] * (v * through * SHARP * active * (1 - active) + second * (before > 0))
    of_x = weighed @ first + inner @ w
    of_c = (active * v * through).sum(1) + after @ second
    # A share below 0 stands for 0; a small pull keeps every record in the sum.
    of_share = y * of_c * (share > 0) - np.maximum(0.01 - share, 0)
    return 2 * np.concatenate([of_x, of_share[:, None]], 1)

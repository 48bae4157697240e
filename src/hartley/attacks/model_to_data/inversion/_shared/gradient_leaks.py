"""Compute labels and the inputs of the first dense layer from the gradient of a client.

The functions use an update (name → array), the net and its weights, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import comb, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.gradient_matching import training_targets
from hartley.kit.eager_optimizers import eager

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core import Applied
    from hartley.games.inversion.client_step import KnownStep
    from hartley.kit.nets import Net

    Update = Mapping[str, NDArray[Any]]

DRAWS = 20_000
"""Largest number of sets of neurons that are tried for the directions of a batch."""

ZEROS = (1e-4, 1e-3)
"""Error signals below this share of a direction's largest count as 0, because of rounding."""

TINY = 1e-12

LEAN = 1e-3
"""Weight of a label's probability, for several labels that give no probability below 0."""


def labels(
    update: Update, net: Net, batch: int, mean: NDArray[Any], known: KnownStep | None = None
) -> NDArray[np.int64]:
    """Return the labels (b,) of a batch, sorted, from the gradient of the last bias.

    That gradient is the mean of (probability − target). For a single record only the right target
    gives probabilities of at least 0 (iDLG, arXiv:2001.02610, where targets are one-hot). For
    several records the labels are chosen greedily to explain the mean target, which is estimated by
    the net's mean probabilities on other records.

    Args:
        update: the gradient.
        net: the architecture.
        batch: number of records.
        mean: (classes,) mean probabilities on the attacker's records.
        known: the client's step, if the attacker knows it; otherwise targets are one-hot.
    """
    slope = np.asarray(update[f"{net.steps[-1][1]}.bias"], np.float64)
    targets = training_targets(net, known).astype(np.float64)
    if batch == 1:
        # If the net is more confident than the target, several labels fit, and the net is mostly
        # right: its probability decides.
        probabilities = slope + targets
        return np.array(
            [int((np.minimum(probabilities, 0).sum(1) + LEAN * probabilities.diagonal()).argmax())]
        )
    residual, label_list = np.asarray(mean, np.float64) - slope, []
    for _ in range(batch):
        # The target that explains most of the residual: the largest entry, for one-hot targets.
        label_list.append(int((targets @ residual - (targets**2).sum(1) / (2 * batch)).argmax()))
        residual = residual - targets[label_list[-1]] / batch
    return np.sort(np.array(label_list, dtype=np.int64))


def first_dense(net: Net) -> str:
    """Return the name of the first dense layer."""
    return next(name for layer, name in net.steps if layer == "dense")


def inputs(
    update: Update,
    net: Net,
    batch: int,
    rng: np.random.Generator,
    *,
    low: float = 0.0,
    sparse: bool = False,
) -> NDArray[np.float64]:
    """Return the inputs (b, features) of the first dense layer, one row per record, in any order.

    ∂W = Σ δ_b a_bᵀ and ∂bias = Σ δ_b. A single record is a = ∂Wᵀ∂bias / ‖∂bias‖², which is exact,
    and the least-squares solution over all neurons if there is noise. For several records (SPEAR,
    arXiv:2403.03945), ReLU sets about half of the neurons to 0 for each record, so the right
    directions in the span of ∂W are sparse. A set of b − 1 neurons that are 0 for exactly one
    record determines its direction; the b sparsest independent directions are used, and ∂bias
    gives their scale.

    Args:
        update: the gradient.
        net: the architecture.
        batch: number of records.
        rng: draws the sets of neurons.
        low: least value of an input; among several solutions the one that violates it least wins.
        sparse: whether an entry of 0 may be one that was not sent.
    """
    name = first_dense(net)
    slope = np.asarray(update[f"{name}.weight"], np.float64)
    bias_slope = np.asarray(update[f"{name}.bias"], np.float64)
    if batch == 1 and sparse:
        # Each input is computed from the entries that were sent.
        energy = np.maximum((bias_slope**2) @ (slope != 0), 1e-300)
        return np.asarray((bias_slope @ slope / energy)[None])
    if batch == 1:
        return (bias_slope @ slope / max(float(bias_slope @ bias_slope), 1e-300))[None]
    left, size, right = np.linalg.svd(slope, full_matrices=False)
    left, right = left[:, :batch], size[:batch, None] * right[:batch]
    solutions = []
    for zero in ZEROS:
        directions = _sparse(left, batch, rng, zero)
        scale, *_ = np.linalg.lstsq(left @ directions, bias_slope, rcond=None)
        scale = np.where(np.abs(scale) > TINY, scale, TINY)
        solutions.append(np.linalg.pinv(directions * scale) @ right)
    return min(solutions, key=lambda a: float(np.maximum(low - a, 0).sum()))


def _sparse(
    left: NDArray[np.float64], batch: int, rng: np.random.Generator, zero: float
) -> NDArray[np.float64]:
    """Return directions q (b, b), in columns, for which left @ q has the most zeros."""
    n = len(left)
    if comb(n, batch - 1) <= DRAWS:
        sets = np.array(list(combinations(range(n), batch - 1)))
    else:
        # Distinct neurons in every set: those with the smallest random numbers of a row.
        sets = np.argpartition(rng.random((DRAWS, n)), batch - 1, axis=1)[:, : batch - 1]
    # The smallest eigenvector of a set's small Gram matrix gives its neurons no signal.
    kernel = np.linalg.eigh(left[sets].transpose(0, 2, 1) @ left[sets])[1][:, :, 0]
    zeros = _silent(left, kernel, zero).sum(0)
    directions: list[NDArray[np.float64]] = []
    for at in np.argsort(-zeros, kind="stable")[:TRIED]:
        # All neurons without a signal determine the direction more precisely.
        silent = left[_silent(left, kernel[at : at + 1], zero)[:, 0]]
        direction = np.linalg.svd(silent)[2][-1]
        candidate_set = np.array([*directions, direction])
        if np.linalg.svd(candidate_set, compute_uv=False)[-1] > SAME:
            directions.append(direction)
        if len(directions) == batch:
            break
    while len(directions) < batch:
        directions.append(np.eye(batch)[len(directions)])
    return np.array(directions).T


def _silent(
    left: NDArray[np.float64], directions: NDArray[np.float64], zero: float
) -> NDArray[np.bool_]:
    """Return where (neurons, directions) a direction gives a neuron no signal."""
    signal = np.abs(left @ directions.T)
    return np.asarray(signal < zero * signal.max(0))


TRIED = 2000
"""Number of the sparsest directions that are tried."""

SAME = 1e-2
"""Directions count as linearly dependent if their smallest singular value is below this."""


def features(net: Net, weights: Update, x: torch.Tensor) -> torch.Tensor:
    """Return the inputs of the first dense layer for records (n, …): convolved and flattened."""
    import torch
    import torch.nn.functional as F

    for layer, name in net.steps:
        if layer != "conv":
            break
        layer_weights = [
            torch.as_tensor(np.array(weights[f"{name}.{p}"])) for p in ("weight", "bias")
        ]
        x = F.relu(F.conv2d(x, layer_weights[0], layer_weights[1], stride=2, padding=1))
    return x.flatten(1)


def knows(defenses: Sequence[Applied], name: str) -> bool:
    """Whether an attacker knows of a defense of that name."""
    return any(defense.name == name for defense in defenses)


def variations(x: torch.Tensor) -> torch.Tensor:
    """Return the mean difference (K,) of neighbours in pictures (K, b, c, h, w); else 0."""
    if x.ndim != 5:
        return x.flatten(1).sum(1) * 0
    sides = (x[..., 1:] - x[..., :-1], x[..., 1:, :] - x[..., :-1, :])
    return sides[0].abs().flatten(1).mean(1) + sides[1].abs().flatten(1).mean(1)


def records_of(
    net: Net,
    weights: Update,
    wanted_features: NDArray[Any],
    start: NDArray[Any],
    *,
    limits: tuple[float, float],
    steps: int,
) -> NDArray[np.float32]:
    """Return the records (b, …) within ``limits`` with the given features (b, features).

    If a record has more numbers than features, many records fit, and a smooth one is returned.
    """
    import torch

    target = torch.tensor(np.array(wanted_features, np.float32))
    low, high = limits
    scale = (target**2).sum().clamp_min(1e-12)

    def error(x: torch.Tensor) -> torch.Tensor:
        return ((features(net, weights, x) - target) ** 2).sum() / scale

    if net.features < prod(net.inputs):
        start = _smooth(error, start, low, high)
    share = np.clip((start - low) / (high - low), 0.02, 0.98)
    logits = torch.tensor(np.log(share / (1 - share)).astype(np.float32), requires_grad=True)
    optimiser = eager("LBFGS")(
        [logits], max_iter=steps, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=1e-10, tolerance_change=1e-12,
    )  # fmt: skip

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        # A sigmoid keeps every value within the limits without a wall for the line search.
        value = error(low + (high - low) * logits.sigmoid())
        value.backward()
        return value

    optimiser.step(loss)
    return np.asarray((low + (high - low) * logits.sigmoid()).detach().numpy())


def _smooth(
    error: Callable[[torch.Tensor], torch.Tensor], start: NDArray[Any], low: float, high: float
) -> NDArray[np.float32]:
    """Return a smooth record with the features: signed Adam with a decreasing total variation."""
    import torch

    x = torch.tensor(np.array(start, np.float32), requires_grad=True)
    optimiser = eager("Adam")([x], lr=0.1 * (high - low))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, SMOOTHED, 1e-3 * (high - low))
    for t in range(SMOOTHED):
        roughness = 0.1 * (1 - t / SMOOTHED) ** 2 * variations(x[None])[0] / (high - low)
        (slope,) = torch.autograd.grad(error(x) + roughness, [x])
        x.grad = slope.sign()
        optimiser.step()
        schedule.step()
        with torch.no_grad():
            x.clamp_(low, high)
    return np.asarray(x.detach().numpy())


SMOOTHED = 300
"""Steps of the search for a smooth record."""

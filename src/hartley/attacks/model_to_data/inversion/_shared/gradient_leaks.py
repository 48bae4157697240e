"""What a server reads off a gradient that it was sent: labels, and what the first layer read.

The functions read an update (name → array), the net and its weights; nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from math import comb, prod
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.gradient_matching import taught

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core import Applied
    from hartley.games.inversion.client_step import KnownStep
    from hartley.kit.nets import Net

    Update = Mapping[str, NDArray[Any]]

DRAWS = 20_000
"""Sets of neurons that are tried for the directions of a batch."""

ZEROS = (1e-4, 1e-3)
"""An error signal below this share of its direction's largest counts as none: float32 rounds."""

TINY = 1e-12

LEAN = 1e-3
"""Weight of a label's own probability, where probabilities below 0 do not settle which it is."""


def labels(
    update: Update, net: Net, batch: int, mean: NDArray[Any], known: KnownStep | None = None
) -> NDArray[np.int64]:
    """The labels (b,) of a batch, sorted, from the gradient of the last bias.

    That gradient is the mean of (probability − target). For one record only the right target
    leaves probabilities, none of them below 0 (iDLG, arXiv:2001.02610, where targets are one-hot);
    for more, the labels are counted off against the mean probabilities that the net gives to other
    records.

    Args:
        update: the gradient.
        net: the architecture.
        batch: number of records.
        mean: (classes,) mean probabilities on records of the attacker's own.
        known: the client's step, where the attacker knows it; else targets are one-hot.
    """
    slope = np.asarray(update[f"{net.steps[-1][1]}.bias"], np.float64)
    targets = taught(net, known).astype(np.float64)
    if batch == 1:
        # Where a net is surer of a record than its target, several fit: it is mostly right then.
        said = slope + targets
        return np.array([int((np.minimum(said, 0).sum(1) + LEAN * said.diagonal()).argmax())])
    due, found = np.asarray(mean, np.float64) - slope, []
    for _ in range(batch):
        # The target that most of what is due is explained by; the largest entry, for one-hot ones.
        found.append(int((targets @ due - (targets**2).sum(1) / (2 * batch)).argmax()))
        due = due - targets[found[-1]] / batch
    return np.sort(np.array(found, dtype=np.int64))


def first_dense(net: Net) -> str:
    """Name of the first dense layer."""
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
    """What the first dense layer read, record by record: (b, features), in any order.

    ∂W = Σ δ_b a_bᵀ and ∂bias = Σ δ_b. One record: a = ∂Wᵀ∂bias / ‖∂bias‖², exact, and the least
    squares of all neurons where there is noise. Several (SPEAR, arXiv:2403.03945): ReLU silences
    about half the neurons for each record, so the right directions among those that ∂W spans are
    the sparse ones. Each set of b − 1 neurons that one record alone leaves silent gives it away;
    the b sparsest independent directions are kept, and ∂bias gives their scale.

    Args:
        update: the gradient.
        net: the architecture.
        batch: number of records.
        rng: draws the sets of neurons.
        low: least value that an input can have; of several solutions the one that keeps to it best.
        sparse: an entry of 0 may be one that was not sent.
    """
    name = first_dense(net)
    slope = np.asarray(update[f"{name}.weight"], np.float64)
    lean = np.asarray(update[f"{name}.bias"], np.float64)
    if batch == 1 and sparse:
        # Each input follows from those of its entries that came.
        seen = np.maximum((lean**2) @ (slope != 0), 1e-300)
        return np.asarray((lean @ slope / seen)[None])
    if batch == 1:
        return (lean @ slope / max(float(lean @ lean), 1e-300))[None]
    left, size, right = np.linalg.svd(slope, full_matrices=False)
    left, right = left[:, :batch], size[:batch, None] * right[:batch]
    found = []
    for zero in ZEROS:
        ways = _sparse(left, batch, rng, zero)
        scale, *_ = np.linalg.lstsq(left @ ways, lean, rcond=None)
        scale = np.where(np.abs(scale) > TINY, scale, TINY)
        found.append(np.linalg.pinv(ways * scale) @ right)
    return min(found, key=lambda a: float(np.maximum(low - a, 0).sum()))


def _sparse(
    left: NDArray[np.float64], batch: int, rng: np.random.Generator, zero: float
) -> NDArray[np.float64]:
    """(b, b) directions q, in columns, for which left @ q has most zeros."""
    n = len(left)
    if comb(n, batch - 1) <= DRAWS:
        sets = np.array(list(combinations(range(n), batch - 1)))
    else:
        # Distinct neurons in every set: the lowest of random numbers, a row a set.
        sets = np.argpartition(rng.random((DRAWS, n)), batch - 1, axis=1)[:, : batch - 1]
    # The smallest eigenvector of a set's small Gram matrix is what its neurons cannot see.
    kernel = np.linalg.eigh(left[sets].transpose(0, 2, 1) @ left[sets])[1][:, :, 0]
    zeros = _silent(left, kernel, zero).sum(0)
    chosen: list[NDArray[np.float64]] = []
    for at in np.argsort(-zeros, kind="stable")[:TRIED]:
        # All neurons that it leaves silent say more exactly which direction that is.
        mute = left[_silent(left, kernel[at : at + 1], zero)[:, 0]]
        better = np.linalg.svd(mute)[2][-1]
        held = np.array([*chosen, better])
        if np.linalg.svd(held, compute_uv=False)[-1] > SAME:
            chosen.append(better)
        if len(chosen) == batch:
            break
    while len(chosen) < batch:
        chosen.append(np.eye(batch)[len(chosen)])
    return np.array(chosen).T


def _silent(left: NDArray[np.float64], ways: NDArray[np.float64], zero: float) -> NDArray[np.bool_]:
    """(neurons, ways): where a direction leaves a neuron without a signal."""
    signal = np.abs(left @ ways.T)
    return np.asarray(signal < zero * signal.max(0))


TRIED = 2000
"""Sparsest directions that are looked at one by one."""

SAME = 1e-2
"""Directions whose smallest singular value together is below this are taken for one twice over."""


def features(net: Net, weights: Update, x: torch.Tensor) -> torch.Tensor:
    """What the first dense layer reads of records (n, …): after all convolutions, flattened."""
    import torch
    import torch.nn.functional as F

    for layer, name in net.steps:
        if layer != "conv":
            break
        held = [torch.as_tensor(np.array(weights[f"{name}.{p}"])) for p in ("weight", "bias")]
        x = F.relu(F.conv2d(x, held[0], held[1], stride=2, padding=1))
    return x.flatten(1)


def knows(defenses: Sequence[Applied], name: str) -> bool:
    """Whether an attacker knows of a defence of that name."""
    return any(one.name == name for one in defenses)


def variation(x: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of neighbours in pictures (b, c, h, w); 0 for other records."""
    if x.ndim != 4:
        return x.sum() * 0
    return (x[..., 1:] - x[..., :-1]).abs().mean() + (x[..., 1:, :] - x[..., :-1, :]).abs().mean()


def behind(
    net: Net,
    weights: Update,
    read: NDArray[Any],
    start: NDArray[Any],
    *,
    limits: tuple[float, float],
    steps: int,
) -> NDArray[np.float32]:
    """The records (b, …) within ``limits`` whose features are nearest to ``read`` (b, features).

    Where features are fewer than the numbers of a record, many records have them: a smooth one.
    """
    import torch

    wanted = torch.tensor(np.array(read, np.float32))
    low, high = limits
    scale = (wanted**2).sum().clamp_min(1e-12)

    def missed(x: torch.Tensor) -> torch.Tensor:
        return ((features(net, weights, x) - wanted) ** 2).sum() / scale

    if net.features < prod(net.inputs):
        start = _smooth(missed, start, low, high)
    middle = np.clip((start - low) / (high - low), 0.02, 0.98)
    free = torch.tensor(np.log(middle / (1 - middle)).astype(np.float32), requires_grad=True)
    mover = torch.optim.LBFGS(
        [free], max_iter=steps, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=1e-10, tolerance_change=1e-12,
    )  # fmt: skip

    def loss() -> torch.Tensor:
        mover.zero_grad()
        # A sigmoid keeps every value within the limits without a wall for the line search.
        value = missed(low + (high - low) * free.sigmoid())
        value.backward()  # type: ignore[no-untyped-call]
        return value

    mover.step(loss)  # type: ignore[no-untyped-call]
    return np.asarray((low + (high - low) * free.sigmoid()).detach().numpy())


def _smooth(
    missed: Callable[[torch.Tensor], torch.Tensor], start: NDArray[Any], low: float, high: float
) -> NDArray[np.float32]:
    """Of many records with the same features a smooth one: signed Adam with a fading variation."""
    import torch

    x = torch.tensor(np.array(start, np.float32), requires_grad=True)
    mover = torch.optim.Adam([x], lr=0.1 * (high - low))
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(mover, SMOOTHED, 1e-3 * (high - low))
    for t in range(SMOOTHED):
        rough = 0.1 * (1 - t / SMOOTHED) ** 2 * variation(x) / (high - low)
        (slope,) = torch.autograd.grad(missed(x) + rough, [x])
        x.grad = slope.sign()
        mover.step()
        fall.step()
        with torch.no_grad():
            x.clamp_(low, high)
    return x.detach().numpy()


SMOOTHED = 300
"""Steps of the search for a smooth record."""

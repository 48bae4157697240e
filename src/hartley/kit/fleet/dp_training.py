"""DP-SGD (arXiv:1607.00133) for a whole fleet: clip each record's gradient, sum, add noise.

Dense nets need no per-record gradients at all: a layer's gradient on one record is an outer
product, so its norm is the product of two norms, and the clipped sum is one batched matrix product
over all models. Convolutions go through Opacus' own module and optimiser, one model at a time. A
test holds the first against the second on the same inputs.

Nothing here depends on how many records a model has, beyond the records themselves: the sampling
rate, the number of steps and the divisor are fixed numbers, since a divisor that depended on the
count would reveal the one record that the guarantee is about.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import MissingExtra, UsageError
from hartley.kit.fleet.dense_training import flatten, zip_names
from hartley.kit.fleet.fleet import Fleet, targets_of
from hartley.kit.fleet.training import GROUP, stream
from hartley.kit.fleet.workers import spread
from hartley.kit.fused_adam import FusedAdamW

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.kit.nets import Net

    Stack = dict[str, NDArray[np.float32]]

TINY = 1e-6
"""Added to a norm before dividing, as Opacus does."""


@dataclass(frozen=True, slots=True)
class Privacy:
    """The numbers of a DP-SGD run; the accountant that computes ε from them is in the defense.

    Attributes:
        noise: standard deviation of the noise, in units of ``clip``.
        clip: bound on the norm of one record's gradient.
        rate: chance of each record to be in a step's batch (Poisson sampling).
        steps: number of steps.
        expected: the divisor: expected records a step, a public number.
        lr: learning rate of Adam on the noisy gradients.
        decay: decoupled weight decay.
    """

    noise: float
    clip: float
    rate: float
    steps: int
    expected: float
    lr: float = 1e-3
    decay: float = 0.0

    def __post_init__(self) -> None:
        if not (self.noise >= 0 and self.clip > 0 and 0 < self.rate <= 1 and self.expected > 0):
            raise UsageError(
                "a DP-SGD run must have noise ≥ 0, clip > 0, 0 < rate ≤ 1 and expected > 0, got "
                f"{self}"
            )

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Work:
    net: Net
    x: NDArray[np.float32]
    targets: NDArray[np.float32]
    privacy: Privacy
    seed: int


def train_private(
    net: Net,
    x: NDArray[Any],
    y: NDArray[Any],
    include: NDArray[np.bool_],
    privacy: Privacy,
    *,
    seed: int = 0,
    first: int = 0,
    workers: int = 1,
) -> Fleet:
    """Train K models by DP-SGD, each on its own subset.

    Args:
        net: the architecture.
        x: (n, …) records.
        y: (n,) labels or (n, classes) rows that sum to 1.
        include: (K, n) booleans.
        privacy: the numbers of the run.
        seed: root of the models' own streams.
        first: number of the first model, as in :func:`hartley.kit.fleet.train`.
        workers: processes; the result does not depend on it.

    Raises:
        MissingExtra: a convolutional net needs Opacus.
    """
    started = time.perf_counter()
    work = _Work(
        net,
        np.ascontiguousarray(x, np.float32),
        targets_of(y, net.classes),
        privacy,
        seed,
    )
    members = [(first + k, row) for k, row in enumerate(include)]
    size = GROUP["cpu"] if net.kind == "dense" else 1
    parts = [members[i : i + size] for i in range(0, len(members), size)]
    stacks = [s for group in spread(_group, work, parts, workers=workers) for s in group]
    return Fleet(
        net,
        {name: np.stack([s[name] for s in stacks]) for name in net.shapes},
        {
            "strategy": "private batched" if net.kind == "dense" else "private opacus",
            "precision": "float32",
            "device": "cpu",
            "workers": workers,
            "models": len(include),
            "seconds": time.perf_counter() - started,
        },
    )


def drawn(rows: NDArray[Any], rng: np.random.Generator, rate: float) -> NDArray[Any]:
    """A step's batch: each of a model's own records (n,) by a coin of its own, maybe none."""
    return np.asarray(rows[rng.random(len(rows)) < rate])


def clipped_sums(
    weights: Sequence[torch.Tensor],
    grads: Sequence[torch.Tensor],
    inputs: torch.Tensor,
    wanted: torch.Tensor,
    *,
    present: torch.Tensor,
    clip: float,
) -> None:
    """Write Σᵢ gᵢ·min(1, clip/‖gᵢ‖) of every model into ``grads``.

    Args:
        weights: (K, out, in) and (K, 1, out) in turn, as ``dense.flatten`` lays them out.
        grads: the same shapes, overwritten.
        inputs: (K, b, features) records.
        wanted: (K, b, classes) targets.
        present: (K, b, 1) ones and zeros: which rows are real.
        clip: the bound.
    """
    import torch

    acts, last = [inputs], len(weights) // 2 - 1
    for i in range(last + 1):
        out = torch.baddbmm(weights[2 * i + 1], acts[-1], weights[2 * i].transpose(1, 2))
        acts.append(out.relu_() if i < last else out)
    backs = [torch.softmax(acts.pop(), 2).sub_(wanted)]
    for i in range(last, 0, -1):
        backs.append(torch.bmm(backs[-1], weights[2 * i]).mul_(acts[i] > 0))
    backs.reverse()
    square = torch.zeros_like(present)
    for act, back in zip(acts, backs, strict=True):
        # weight: ‖δ aᵀ‖² = ‖δ‖²‖a‖²; bias: ‖δ‖².
        square += back.square().sum(2, keepdim=True) * (act.square().sum(2, keepdim=True) + 1)
    factor = (clip / (square.sqrt() + TINY)).clamp_(max=1.0).mul_(present)
    for i, (act, back) in enumerate(zip(acts, backs, strict=True)):
        scaled = back * factor
        torch.bmm(scaled.transpose(1, 2), act, out=grads[2 * i])
        torch.sum(scaled, 1, keepdim=True, out=grads[2 * i + 1])


def add_noise(
    grads: Sequence[torch.Tensor], rngs: Sequence[np.random.Generator], scale: float
) -> None:
    """Add normal noise of standard deviation ``scale``, each model's from its own stream."""
    import torch

    size = sum(grad[0].numel() for grad in grads)
    for k, rng in enumerate(rngs):
        noise, at = torch.from_numpy(rng.standard_normal(size, np.float32)), 0
        for grad in grads:
            count = grad[k].numel()
            grad[k].add_(noise[at : at + count].view(grad[k].shape), alpha=scale)
            at += count


def _group(work: _Work, part: Sequence[tuple[int, NDArray[np.bool_]]]) -> list[Stack]:
    rngs = [stream(work.seed, k) for k, _ in part]
    starts = [work.net.initial(rng) for rng in rngs]
    owns = [np.flatnonzero(row) for _, row in part]
    if work.net.kind == "dense":
        return _dense(work, starts, owns, rngs)
    return [_opacus(work, *arguments) for arguments in zip(starts, owns, rngs, strict=True)]


def _dense(
    work: _Work,
    starts: list[Stack],
    owns: list[NDArray[Any]],
    rngs: list[np.random.Generator],
) -> list[Stack]:
    import torch

    privacy, names = work.privacy, list(work.net.shapes)
    x = torch.from_numpy(np.array(work.x)).flatten(1)
    targets = torch.from_numpy(np.array(work.targets))
    flat, weights = flatten(work.net, starts, x.device)
    slope, grads = flatten(work.net, starts, x.device)
    parameter = torch.nn.Parameter(flat)
    parameter.grad = slope
    optimiser = FusedAdamW([parameter], privacy.lr, privacy.decay)
    scale = privacy.noise * privacy.clip
    with torch.no_grad():
        for _ in range(privacy.steps):
            some = [drawn(o, r, privacy.rate) for o, r in zip(owns, rngs, strict=True)]
            width = max(1, *(len(rows) for rows in some))
            index = np.zeros((len(some), width), np.int64)
            present = np.zeros((len(some), width, 1), np.float32)
            for k, rows in enumerate(some):
                index[k, : len(rows)], present[k, : len(rows)] = rows, 1.0
            where = torch.from_numpy(index).flatten()
            shape = (len(some), width, -1)
            clipped_sums(
                weights,
                grads,
                x.index_select(0, where).view(shape),
                targets.index_select(0, where).view(shape),
                present=torch.from_numpy(present),
                clip=privacy.clip,
            )
            if scale:
                add_noise(grads, rngs, scale)
            slope.div_(privacy.expected)
            optimiser.step()
    named = zip_names(work.net, weights)
    assert [name for name, _ in named] == names
    return [{n: w[k].numpy().copy() for n, w in named} for k in range(len(starts))]


def _opacus(
    work: _Work, start: Stack, member_rows: NDArray[Any], rng: np.random.Generator
) -> Stack:
    try:
        from opacus import GradSampleModule
        from opacus.optimizers import DPOptimizer
    except ModuleNotFoundError as absent:
        raise MissingExtra("opacus", "dp") from absent
    import torch

    privacy = work.privacy
    module = GradSampleModule(work.net.module(start), loss_reduction="sum")
    optimiser = DPOptimizer(
        torch.optim.AdamW(
            module.parameters(), lr=privacy.lr, weight_decay=privacy.decay, fused=True
        ),
        noise_multiplier=privacy.noise,
        max_grad_norm=privacy.clip,
        expected_batch_size=None,
        loss_reduction="sum",
        generator=torch.Generator().manual_seed(int(rng.integers(2**31))),
    )
    x, targets = torch.from_numpy(np.array(work.x)), torch.from_numpy(np.array(work.targets))
    for _ in range(privacy.steps):
        rows = torch.from_numpy(drawn(member_rows, rng, privacy.rate))
        optimiser.zero_grad()
        log = torch.log_softmax(module(x[rows]), 1)
        # Divided here, after the noise, by a fixed number: Adam is then told the mean.
        (-(log * targets[rows]).sum()).backward()
        optimiser.step()
    return {k: v.detach().numpy().copy() for k, v in module._module.state_dict().items()}

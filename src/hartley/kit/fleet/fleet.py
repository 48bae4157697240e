"""The fleet: K trained models as stacked weights, and the one call that trains them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError
from hartley.kit.fleet.conv_training import train_conv
from hartley.kit.fleet.dense_training import train_dense
from hartley.kit.fleet.objective import Objective, train_shaped
from hartley.kit.fleet.sequential_training import (
    native_bfloat16,
    train_plain,
    train_stacked,
    train_tight,
)
from hartley.kit.fleet.training import GROUP, Lesson, Training, batches, choose_strategy, stream
from hartley.kit.fleet.workers import spread

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.kit.nets import Net

    Stack = dict[str, NDArray[np.float32]]

ASK = 512
"""Records per forward pass of a stack of dense nets: what is in flight stays in the cache."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """K models of one architecture.

    Attributes:
        net: the architecture.
        weights: (K, …) arrays by parameter name.
        facts: ``strategy``, ``precision``, ``device``, ``workers``, ``seconds``, ``models``.
        extra: (K, …) weights that an objective trained beside the net's; no answer needs them.
    """

    net: Net
    weights: Mapping[str, NDArray[np.float32]]
    facts: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        """K."""
        return len(next(iter(self.weights.values())))

    def query(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Logits (K, n, classes) of all models on the same records (n, …)."""
        import torch

        records = torch.from_numpy(np.array(x, dtype=np.float32))
        out = np.empty((len(self), len(records), self.net.classes), np.float32)
        with torch.no_grad():
            if self.net.kind == "dense":
                tensors = {n: torch.from_numpy(np.array(w)) for n, w in self.weights.items()}
                for at in range(0, len(records), ASK):
                    rows = records[at : at + ASK].flatten(1)
                    out[:, at : at + ASK] = self._dense(tensors, rows).numpy()
                return out
            records = records.contiguous(memory_format=torch.channels_last)
            for k in range(len(self)):
                module = self.module(k).to(memory_format=torch.channels_last)
                for at in range(0, len(records), ASK):
                    out[k, at : at + ASK] = module(records[at : at + ASK]).numpy()
        return out

    def module(self, k: int) -> torch.nn.Sequential:
        """Model k as a torch module of its own."""
        return self.net.module({name: array[k] for name, array in self.weights.items()})

    def _dense(self, tensors: dict[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        import torch

        names = [name for _, name in self.net.steps]
        first = tensors[f"{names[0]}.weight"]
        # All first layers read the same records: one wide matrix product instead of K narrow ones.
        hidden = rows @ first.reshape(-1, first.shape[2]).T
        hidden = hidden.view(len(rows), *first.shape[:2]).transpose(0, 1)
        hidden = hidden + tensors[f"{names[0]}.bias"].unsqueeze(1)
        for name in names[1:]:
            weight = tensors[f"{name}.weight"].transpose(1, 2)
            hidden = torch.baddbmm(tensors[f"{name}.bias"].unsqueeze(1), hidden.relu(), weight)
        return hidden


@dataclass(frozen=True, slots=True)
class _Work:
    """What every group needs; travels to a worker once."""

    net: Net
    x: NDArray[np.float32]
    targets: NDArray[np.float32]
    """(n, classes), or (K, n, classes) for the models from number ``first`` on."""
    training: Training
    seed: int
    first: int
    strategy: str
    objective: Objective | None
    bfloat16: bool
    device: str
    start: Mapping[str, NDArray[np.float32]] | None = None


def train(
    net: Net,
    x: NDArray[Any],
    y: NDArray[Any],
    include: NDArray[np.bool_],
    training: Training | None = None,
    *,
    seed: int = 0,
    first: int = 0,
    strategy: str = "auto",
    precision: str = "auto",
    workers: int = 1,
    device: str = "cpu",
    progress: Callable[[int], None] | None = None,
    objective: Objective | None = None,
    start: Mapping[str, NDArray[np.float32]] | None = None,
) -> Fleet:
    """Train K models on K known subsets of the same records.

    Args:
        net: the architecture.
        x: (n, …) records, float.
        y: (n,) integer labels, (n, classes) rows that sum to 1, or (K, n, classes) rows: every
            model its own.
        include: (K, n) booleans: which model trains on which record.
        training: the recipe.
        seed: root of the models' own streams.
        first: number of the first model: ``train(include[8:], first=8)`` gives models 8, 9, …
            exactly as ``train(include)`` does.
        strategy: ``auto`` (see :func:`choose_strategy`), ``batched``, ``loop`` or ``plain``.
        precision: ``auto`` (bfloat16 arithmetic in a tight loop of convolutions where the processor
            has it), ``float32`` or ``bfloat16``.
        workers: processes, one thread each; the result does not depend on it.
        device: a torch device.
        progress: called with the number of groups that are finished.
        objective: the training objective, if not the cross-entropy with ``y``; one with
            a loss of its own is trained by autograd (``shaped``), whatever the strategy.
        start: (K, …) weights by name that training goes on from; None draws them.

    Raises:
        UsageError: shapes that do not go together, or an unknown strategy or precision.
    """
    training = training or Training()
    started = time.perf_counter()
    if include.ndim != 2 or include.shape[1] != len(x) or not len(include):
        raise UsageError(f"include must have shape (models ≥ 1, {len(x)}), got {include.shape}")
    targets = targets_of(y, net.classes)
    if targets.shape[-2] != len(x) or (targets.ndim == 3 and len(targets) != len(include)):
        raise UsageError(
            f"targets must match {len(x)} records and {len(include)} models, got shape {y.shape}"
        )
    if tuple(x.shape[1:]) != net.inputs:
        raise UsageError(f"records must have shape {net.inputs}, got {tuple(x.shape[1:])}")
    chosen = choose_strategy(net, device, strategy)
    records = np.ascontiguousarray(x, np.float32)
    if objective is not None:

        def apprentice(rows: NDArray[np.bool_], root: int, number: int) -> Fleet:
            return train(
                net, records, targets, rows, training, seed=root, first=number, strategy=strategy,
                precision=precision, workers=workers, device=device,
            )  # fmt: skip

        targets = objective.teach(
            records, targets, include, seed=seed, first=first, apprentice=apprentice
        )
        if objective.shaped:
            chosen = "shaped"
    work = _Work(
        net=net,
        x=records,
        targets=targets,
        training=training,
        seed=seed,
        first=first,
        strategy=chosen,
        objective=objective,
        bfloat16=_bfloat16(net, chosen, precision, device),
        device=device,
        start=start,
    )
    parts = _groups(include, first, work, workers)
    trained = spread(_train_group, work, parts, workers=workers, progress=progress)
    stacks = sorted((k, s) for part, group in zip(parts, trained, strict=True) for (k, _), s in
                    zip(part, group, strict=True))  # fmt: skip
    return Fleet(
        net,
        {name: np.stack([s[name] for _, s in stacks]) for name in net.shapes},
        {
            "strategy": chosen,
            "precision": "bfloat16" if work.bfloat16 else "float32",
            "device": device,
            "workers": workers,
            "models": len(include),
            "seconds": time.perf_counter() - started,
        },
        {n: np.stack([s[n] for _, s in stacks]) for n in stacks[0][1] if n not in net.shapes},
    )


def targets_of(y: NDArray[Any], classes: int) -> NDArray[np.float32]:
    """Labels or soft labels as (n, classes) rows, or (K, n, classes) if they are given so.

    Raises:
        UsageError: a label outside 0..classes−1.
    """
    if y.ndim > 1:
        return np.ascontiguousarray(y, np.float32)
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise UsageError(f"labels must be in 0..{classes - 1}, got {y.min()}..{y.max()}")
    return np.asarray(np.eye(classes, dtype=np.float32)[y])


def _bfloat16(net: Net, strategy: str, precision: str, device: str) -> bool:
    if precision not in {"auto", "float32", "bfloat16"}:
        raise UsageError(f"precision must be auto, float32 or bfloat16, got {precision!r}")
    if precision != "auto" or strategy != "loop" or net.kind != "conv":
        return precision == "bfloat16" and strategy == "loop"
    return native_bfloat16(device)


def _groups(
    include: NDArray[np.bool_], first: int, work: _Work, workers: int
) -> list[list[tuple[int, NDArray[np.bool_]]]]:
    """Cut the fleet into groups: as large as is efficient, at least one per worker."""
    members = [(first + k, row) for k, row in enumerate(include)]
    size = 1
    if work.strategy == "batched" or (work.strategy == "shaped" and work.net.kind == "dense"):
        size = min(GROUP.get(work.device.split(":")[0], GROUP["cpu"]), -(-len(members) // workers))
        # Models of about equal length end together, so that little of a stack is thrown away.
        members.sort(key=lambda member: (int(member[1].sum()), member[0]))
    return [members[i : i + size] for i in range(0, len(members), size)]


def _train_group(work: _Work, part: Sequence[tuple[int, NDArray[np.bool_]]]) -> list[Stack]:
    import torch

    x = torch.from_numpy(np.array(work.x)).to(work.device)
    per_model = work.targets.ndim == 3
    taught = (
        work.targets[[k - work.first for k, _ in part]] if per_model else np.array(work.targets)
    )
    targets = torch.from_numpy(taught).to(work.device)
    lesson = Lesson(work.net, x, targets, work.training)
    starts, orders, seeds = [], [], []
    for k, row in part:
        rng = stream(work.seed, k)
        drawn = work.net.initial(rng)
        if work.start is not None:
            drawn = {n: work.start[n][k - work.first].copy() for n in work.net.shapes}
        starts.append(drawn)
        orders.append(batches(rng, row, work.training))
        seeds.append(int(rng.integers(2**62)))
    if work.strategy == "shaped":
        assert work.objective is not None
        return train_shaped(lesson, work.objective, starts, orders, seeds)
    if work.strategy == "batched":
        if work.net.kind == "dense":
            return train_dense(replace(lesson, x=x.flatten(1)), starts, orders)
        return train_stacked(lesson, starts, orders)
    trained: list[Stack] = []
    for i, (start, order) in enumerate(zip(starts, orders, strict=True)):
        own_lesson = replace(lesson, targets=targets[i]) if per_model else lesson
        if work.strategy == "plain":
            trained.append(train_plain(own_lesson, start, order))
        else:
            tight = train_conv if work.net.kind == "conv" else train_tight
            trained.append(tight(own_lesson, start, order, bfloat16=work.bfloat16))
    return trained

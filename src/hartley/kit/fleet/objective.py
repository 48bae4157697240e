"""Objectives other than the cross-entropy with the labels, as training-time defenses need.

An ``Objective`` changes two things, either or both: the targets that records are taught with, and
the loss of a step. Changed targets run on every fast strategy. A changed loss is trained here, by
autograd: dense nets as one stack, where a loss sees all models of a group at once and keeps them
apart by the first axis, convolutional nets one after another by the same code with a stack of one.

An objective is a frozen dataclass of plain fields, so that it keys caches and travels to workers.
It lives in the file of its defense; there is no registry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hartley.kit.fleet.dense_training import Mover
from hartley.kit.fleet.training import Lesson, Training

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.kit.fleet.fleet import Fleet
    from hartley.kit.nets import Net

    Stack = dict[str, NDArray[np.float32]]

Apprentice = Callable[["NDArray[np.bool_]", int, int], "Fleet"]
"""(training sets (m, n), seed, index of the first) → m ordinary nets on the given targets."""


@dataclass(slots=True)
class ForwardPass:
    """What a loss may read of one step; K models, b records each.

    Attributes:
        inputs: (K, b, features) records.
        targets: (K, b, classes) rows.
        hidden: (K, b, width) what each layer but the last gives, after its ReLU, first layer first;
            channels and pixels of a convolution are one axis.
        logits: (K, b, classes).
        epoch: (K,) passes over its own records that a model has behind it.
        extra: (K, …) the objective's own weights, see :meth:`Objective.extra`.
        head: (K, b, width) of the last hidden layer → logits by the last layer.
        noise: width → (K, b, width) normal numbers, each model's from its own stream.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    hidden: list[torch.Tensor]
    logits: torch.Tensor
    epoch: torch.Tensor
    extra: Mapping[str, torch.Tensor]
    head: Callable[[torch.Tensor], torch.Tensor]
    noise: Callable[[int], torch.Tensor]

    def cross_entropy(self) -> torch.Tensor:
        """Return the cross-entropy (K, b) of each record with its target, in nats."""
        import torch

        return -(self.targets * torch.log_softmax(self.logits, 2)).sum(2)


class Objective:
    """The training objective of a fleet; the base class of the objectives of defenses.

    ``shaped`` says whether :meth:`loss` replaces the mean cross-entropy of a step; ``alone``
    whether who holds a few records can be taught them with nobody else's at hand, as a client of
    federated learning must.
    """

    shaped: ClassVar[bool] = False
    alone: ClassVar[bool] = True
    version: ClassVar[int] = 1

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest."""
        fields: dict[str, Any] = asdict(self) if is_dataclass(self) else {}
        return {"name": type(self).__name__, "version": self.version, **fields}

    def teach(
        self,
        x: NDArray[np.float32],
        targets: NDArray[np.float32],
        include: NDArray[np.bool_],
        *,
        seed: int,
        first: int,
        apprentice: Apprentice,
    ) -> NDArray[np.float32]:
        """Return training targets; those of model k must depend on its index ``first + k`` alone.

        Args:
            x: (n, …) records.
            targets: (n, classes) what their labels say.
            include: (K, n) which model is trained on which record.
            seed: of the fleet.
            first: number of the first model.
            apprentice: trains ordinary nets of the same architecture and recipe.

        Returns:
            (n, classes) for all models, or (K, n, classes).
        """
        del x, include, seed, first, apprentice
        return targets

    def inputs(
        self,
        inputs: torch.Tensor,
        targets: torch.Tensor,
        logits: Callable[[torch.Tensor], torch.Tensor],
        noise: Callable[[int], torch.Tensor],
    ) -> torch.Tensor:
        """Return the records that a step is taken on; only for objectives that are ``shaped``.

        Args:
            inputs: (K, b, …) records.
            targets: (K, b, classes) rows.
            logits: (K, b, …) → (K, b, classes) of the nets as they are now.
            noise: as in ``ForwardPass``.
        """
        del targets, logits, noise
        return inputs

    def extra(self, net: Net) -> dict[str, tuple[int, ...]]:
        """Shapes of weights that are trained beside the net's, from 0 on; none is deployed."""
        del net
        return {}

    def loss(self, outputs: ForwardPass) -> torch.Tensor:
        """Return the loss (K,) of a step; only for objectives that are ``shaped``."""
        return outputs.cross_entropy().mean(1)


def train_shaped(
    lesson: Lesson,
    objective: Objective,
    starts: list[Stack],
    orders: list[NDArray[np.int32]],
    seeds: list[int],
) -> list[Stack]:
    """Train a stack of nets on an objective of their own.

    Args:
        lesson: the net, the records (n, …), the targets (n, classes) or (K, n, classes).
        objective: its loss is minimised.
        starts: first weights of each model; one only, if the net is convolutional.
        orders: (steps, batch) record indices of each model.
        seeds: of each model's noise.

    Returns:
        The trained weights of each model, the objective's own among them.
    """
    import torch

    net, training, device = lesson.net, lesson.training, lesson.x.device
    weights = {n: torch.from_numpy(np.stack([s[n] for s in starts])).to(device) for n in net.shapes}
    extra = {n: torch.zeros(len(starts), *shape, device=device)
             for n, shape in objective.extra(net).items()}  # fmt: skip
    tensors = [*weights.values(), *extra.values()]
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    leaf_tensors = dict(zip([*weights, *extra], leaves, strict=True))
    slopes = [torch.zeros_like(tensor) for tensor in tensors]
    lengths = [len(order) for order in orders]
    mover = Mover(tensors, slopes, tensors, lengths, training)
    noise = _Noise(seeds, training.batch, device)
    reader = _Reader(lesson, orders)
    trained = [{**start, **{n: e[k].cpu().numpy().copy() for n, e in extra.items()}}
            for k, start in enumerate(starts)]  # fmt: skip
    for t in range(max(lengths)):
        inputs, targets = reader.batch(t)
        inputs = objective.inputs(inputs, targets, _Look(net, leaf_tensors), noise)
        batch = forward(net, leaf_tensors, inputs, targets)
        batch.epoch, batch.extra, batch.noise = (
            reader.epoch(t),
            {n: leaf_tensors[n] for n in extra},
            noise,
        )
        # Each model's loss depends on its own weights alone, so the sum has everyone's own slopes.
        gradients = torch.autograd.grad(objective.loss(batch).sum(), leaves, allow_unused=True)
        with torch.no_grad():
            for slope, value in zip(slopes, gradients, strict=True):
                slope.zero_() if value is None else slope.copy_(value)
            mover.step(t)
        for k in (k for k, length in enumerate(lengths) if length == t + 1):
            trained[k] = {
                n: w[k].cpu().numpy().copy() for n, w in zip(leaf_tensors, tensors, strict=True)
            }
    return trained


class _Look:
    """The logits of a stack of nets as they are now."""

    def __init__(self, net: Net, weights: Mapping[str, torch.Tensor]) -> None:
        self.net = net
        self.weights = {name: tensor.detach() for name, tensor in weights.items()}

    def __call__(self, inputs: torch.Tensor) -> torch.Tensor:
        # No targets are read for logits.
        return forward(self.net, self.weights, inputs, inputs).logits


class _Reader:
    """The batches of a stack of models, step by step."""

    def __init__(self, lesson: Lesson, orders: list[NDArray[np.int32]]) -> None:
        import torch

        training = lesson.training
        lengths = np.array([len(order) for order in orders])
        padded = np.zeros((max(lengths), len(orders), training.batch), np.int64)
        for k, order in enumerate(orders):
            padded[: len(order), k] = order
        self.steps = torch.from_numpy(padded).to(lesson.x.device)
        self.shift = torch.arange(len(orders), device=lesson.x.device)[:, None] * len(lesson.x)
        self.x, self.targets = lesson.x, lesson.targets
        self.passes = torch.from_numpy(passes(training, lengths)).to(lesson.x.device)

    def batch(self, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Records (K, b, …) and targets (K, b, classes) of step ``t``."""
        rows, at = self.steps[t], self.steps[t]
        targets = self.targets
        if targets.dim() == 3:
            targets, at = targets.flatten(0, 1), rows + self.shift
        return self.x[rows], targets[at]

    def epoch(self, t: int) -> torch.Tensor:
        """Return the passes (K,) that are complete at step ``t``."""
        return (self.passes * t).floor()


def passes(training: Training, lengths: NDArray[Any]) -> NDArray[np.float64]:
    """Passes over its own records that one step is, for models of these numbers of steps."""
    return np.asarray(training.epochs / np.maximum(lengths, 1), dtype=np.float64)


class _Noise:
    """Normal numbers, each model's from a generator of its own."""

    def __init__(self, seeds: list[int], batch: int, device: torch.device) -> None:
        import torch

        self.batch, self.device = batch, device
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, width: int) -> torch.Tensor:
        import torch

        noise = [torch.randn(self.batch, width, generator=g) for g in self.generators]
        return torch.stack(noise).to(self.device)


def forward(
    net: Net, used: Mapping[str, torch.Tensor], inputs: torch.Tensor, targets: torch.Tensor
) -> ForwardPass:
    """All layers of a stack of nets; a convolution takes a stack of one.

    Args:
        net: the architecture.
        used: (K, …) weights by name.
        inputs: (K, b, …) records.
        targets: (K, b, classes) rows.

    Returns:
        What a loss may read, at epoch 0 and without noise or weights of an objective's own.
    """
    import torch
    import torch.nn.functional as F

    models, batch = inputs.shape[:2]
    hidden: list[torch.Tensor] = []
    now = inputs[0] if net.kind == "conv" else inputs.flatten(2)
    for layer, name in net.steps[:-1]:
        weight, bias = used[f"{name}.weight"], used[f"{name}.bias"]
        if layer == "conv":
            now = F.relu(F.conv2d(now, weight[0], bias[0], stride=2, padding=1))
            hidden.append(now.flatten(1)[None])
            continue
        reads = now if now.dim() == 3 else now.flatten(1)[None]
        now = torch.baddbmm(bias.unsqueeze(1), reads, weight.transpose(1, 2)).relu()
        hidden.append(now)
    name = net.steps[-1][1]

    def head(z: torch.Tensor) -> torch.Tensor:
        weight = used[f"{name}.weight"].transpose(1, 2)
        return torch.baddbmm(used[f"{name}.bias"].unsqueeze(1), z, weight)

    last = hidden[-1] if hidden else inputs.flatten(2)
    return ForwardPass(
        inputs=inputs.reshape(models, batch, -1),
        targets=targets,
        hidden=hidden,
        logits=head(last),
        epoch=torch.zeros(models),
        extra={},
        head=head,
        noise=lambda width: torch.zeros(models, batch, width),
    )

"""The step of a client: the gradient of the owner's objective on the client's few records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core.errors import UsageError
from hartley.kit.fleet.fleet import targets_of
from hartley.kit.fleet.objective import forward

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.kit.fleet import Objective, Privacy
    from hartley.kit.nets import Net

    Update = Mapping[str, NDArray[np.float32]]
    Noise = Callable[[int], torch.Tensor]

TINY = 1e-6
"""Added to a record's norm before division, as in ``kit.fleet.dp_training``."""


@dataclass(frozen=True, slots=True)
class Step:
    """How a client computes an update: one step of the owner's training on the client's batch.

    The update has an array for every trained weight, including those of the objective.

    Attributes:
        net: the architecture.
        objective: the training objective; None is the cross-entropy with the labels.
        private: parameters of DP-SGD: each record's gradient is clipped, and noise is added to
            their sum. The divisor is the size of the batch, which is public here.
        epoch: number of passes that the training has completed.
    """

    net: Net
    objective: Objective | None = None
    private: Privacy | None = None
    epoch: int = 0

    @property
    def extra(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the objective's weights."""
        return {} if self.objective is None else self.objective.extra(self.net)

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values, for a digest, that an update depends on besides the net; may be empty."""
        parts = {"objective": self.objective, "private": self.private}
        return {name: part.recipe for name, part in parts.items() if part is not None}

    @property
    def rho(self) -> float | None:
        """The zCDP of an update for one record of the batch replaced by another, or None.

        The clipped sum changes by at most 2·clip: ρ = (2·clip)²/(2·(noise·clip)²).
        """
        noise = 0.0 if self.private is None else self.private.noise
        return 2.0 / noise**2 if noise else None

    def taught(self, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
        """Return the training targets (b, classes) of records (b, …) with labels or targets ``y``.

        Raises:
            UsageError: the targets depend on the whole data set.
        """
        rows, records = targets_of(y, self.net.classes), np.asarray(x, np.float32)
        if self.objective is None:
            return rows
        included = np.ones((1, len(records)), dtype=bool)
        targets = self.objective.teach(
            records, rows, included, seed=0, first=0, apprentice=_no_apprentice
        )
        return targets[0] if targets.ndim == rows.ndim + 1 else targets

    def gradients(
        self,
        weights: Mapping[str, torch.Tensor],
        x: torch.Tensor,
        targets: torch.Tensor,
        noise: Noise | None = None,
        *,
        graph: bool = False,
    ) -> list[torch.Tensor]:
        """Return the gradient of a batch by each of ``weights``, before the noise of DP-SGD.

        Args:
            weights: leaf tensors by name: the net's and the objective's.
            x: (b, …) records.
            targets: (b, classes) training targets.
            noise: width → noise (1, b, width) of an objective; None uses its mode.
            graph: whether the gradient must itself be differentiable.
        """
        import torch

        if self.private is not None:
            return _clipped(self.net, weights, x, targets, self.private.clip)
        stacked = {name: leaf[None] for name, leaf in weights.items()}
        outputs = forward(self.net, stacked, x[None], targets[None])
        outputs.epoch = torch.full((1,), float(self.epoch))
        outputs.extra = {name: stacked[name] for name in self.extra}
        if noise is not None:
            outputs.noise = noise
        objective = self.objective if self.objective is not None and self.objective.shaped else None
        loss = outputs.cross_entropy().mean(1) if objective is None else objective.loss(outputs)
        leaves = list(weights.values())
        gradients = torch.autograd.grad(loss.sum(), leaves, create_graph=graph, allow_unused=True)
        return [
            torch.zeros_like(w) if g is None else g for g, w in zip(gradients, leaves, strict=True)
        ]

    def update(
        self, weights: Update, x: NDArray[Any], y: NDArray[Any], rng: np.random.Generator
    ) -> Update:
        """Return the update of a client by weight.

        Args:
            weights: the net's and the objective's.
            x: (b, …) the client's records.
            y: (b,) their labels.
            rng: draws the noise of the objective, if it has any, and of DP-SGD.
        """
        import torch

        leaves = {n: torch.from_numpy(np.array(w, np.float32)).requires_grad_() for n, w in
                weights.items()}  # fmt: skip

        def noise(width: int) -> torch.Tensor:
            return torch.from_numpy(rng.standard_normal((1, len(x), width), np.float32))

        rows = torch.from_numpy(np.array(x, np.float32))
        targets = torch.from_numpy(np.array(self.taught(x, y)))
        gradients = self.gradients(leaves, rows, targets, noise)
        update_ = {name: g.numpy() for name, g in zip(leaves, gradients, strict=True)}
        if self.private is None or not self.private.noise:
            return update_
        scale = np.float32(self.private.noise * self.private.clip / len(x))
        return {n: g + scale * rng.standard_normal(g.shape, np.float32) for n, g in update_.items()}


@dataclass(frozen=True, slots=True)
class KnownStep:
    """A client's step, as an adaptive attacker knows it.

    Attributes:
        step: how the update was computed.
        extra: the weights of the objective, which the server sends with those of the net.
    """

    step: Step
    extra: Update


def _clipped(
    net: Net,
    weights: Mapping[str, torch.Tensor],
    x: torch.Tensor,
    targets: torch.Tensor,
    clip: float,
) -> list[torch.Tensor]:
    """Return the mean of the records' gradients, each scaled to a norm of at most ``clip``."""
    import torch

    def loss(
        leaves: dict[str, torch.Tensor], record: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        stacked = {name: w[None] for name, w in leaves.items()}
        return forward(net, stacked, record[None, None], target[None, None]).cross_entropy().sum()

    fixed = {name: w.detach() for name, w in weights.items()}
    per_record = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(fixed, x, targets)
    norm = torch.stack([g.flatten(1).square().sum(1) for g in per_record.values()]).sum(0).sqrt()
    factor = (clip / (norm + TINY)).clamp(max=1.0) / len(x)
    return [torch.tensordot(factor, g, 1) for g in per_record.values()]


def _no_apprentice(*_: Any) -> Any:
    raise UsageError("training targets must not depend on the whole data set for a client's step")

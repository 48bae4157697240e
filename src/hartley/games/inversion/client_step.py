"""The step of a client: the gradient of his owner's real objective on the few records he holds."""

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
"""Added to a record's norm before dividing, as in ``kit.fleet.dp_training``."""


@dataclass(frozen=True, slots=True)
class Step:
    """How a client computes his update: one step of his owner's training, on his own batch.

    The update has an array for every weight that is trained, an objective's own among them.

    Attributes:
        net: the architecture.
        objective: what is minimised; None is the cross-entropy with the labels.
        private: each record's gradient is clipped, and their sum gets noise, by these numbers. The
            divisor is the size of the batch, which is no secret here.
        epoch: passes that the training has behind it.
    """

    net: Net
    objective: Objective | None = None
    private: Privacy | None = None
    epoch: int = 0

    @property
    def extra(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the objective's own weights."""
        return {} if self.objective is None else self.objective.extra(self.net)

    @property
    def recipe(self) -> dict[str, Any]:
        """Plain values that an update depends on besides the net, for a digest; none if plain."""
        parts = {"objective": self.objective, "private": self.private}
        return {name: one.recipe for name, one in parts.items() if one is not None}

    @property
    def rho(self) -> float | None:
        """Zero-concentrated DP of an update for one record of the batch replaced by another.

        The clipped sum moves by 2·clip at most: ρ = (2·clip)²/(2·(noise·clip)²). None: no claim.
        """
        noise = 0.0 if self.private is None else self.private.noise
        return 2.0 / noise**2 if noise else None

    def taught(self, x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float32]:
        """(b, classes): the targets of records (b, …) with labels or rows ``y``.

        Raises:
            UsageError: only the whole data set can tell what a record is taught.
        """
        rows, records = targets_of(y, self.net.classes), np.asarray(x, np.float32)
        if self.objective is None:
            return rows
        whole = np.ones((1, len(records)), dtype=bool)
        taught = self.objective.teach(records, rows, whole, seed=0, first=0, apprentice=_nobody)
        return taught[0] if taught.ndim == rows.ndim + 1 else taught

    def gradients(
        self,
        weights: Mapping[str, torch.Tensor],
        x: torch.Tensor,
        targets: torch.Tensor,
        noise: Noise | None = None,
        *,
        graph: bool = False,
    ) -> list[torch.Tensor]:
        """The gradient of a batch by each of ``weights``, before any noise of DP-SGD.

        Args:
            weights: leaves by name: the net's, and the objective's own.
            x: (b, …) records.
            targets: (b, classes) what they are taught.
            noise: width → (1, b, width) of what an objective draws; None draws nothing, its mode.
            graph: whether the gradient shall be differentiable itself.
        """
        import torch

        if self.private is not None:
            return _clipped(self.net, weights, x, targets, self.private.clip)
        used = {name: leaf[None] for name, leaf in weights.items()}
        seen = forward(self.net, used, x[None], targets[None])
        seen.epoch = torch.full((1,), float(self.epoch))
        seen.extra = {name: used[name] for name in self.extra}
        if noise is not None:
            seen.noise = noise
        own = self.objective if self.objective is not None and self.objective.shaped else None
        loss = seen.cross_entropy().mean(1) if own is None else own.loss(seen)
        leaves = list(weights.values())
        found = torch.autograd.grad(loss.sum(), leaves, create_graph=graph, allow_unused=True)
        return [torch.zeros_like(w) if g is None else g for g, w in zip(found, leaves, strict=True)]

    def update(
        self, weights: Update, x: NDArray[Any], y: NDArray[Any], rng: np.random.Generator
    ) -> Update:
        """The update of a client with records (b, …) and labels (b,), by weight.

        Args:
            weights: the net's, and the objective's own.
            x: his records.
            y: their labels.
            rng: draws the noise of objectives that have some, and of DP-SGD.
        """
        import torch

        held = {n: torch.from_numpy(np.array(w, np.float32)).requires_grad_() for n, w in
                weights.items()}  # fmt: skip

        def noise(width: int) -> torch.Tensor:
            return torch.from_numpy(rng.standard_normal((1, len(x), width), np.float32))

        rows = torch.from_numpy(np.array(x, np.float32))
        targets = torch.from_numpy(np.array(self.taught(x, y)))
        found = self.gradients(held, rows, targets, noise)
        sent = {name: g.numpy() for name, g in zip(held, found, strict=True)}
        if self.private is None or not self.private.noise:
            return sent
        scale = np.float32(self.private.noise * self.private.clip / len(x))
        return {n: g + scale * rng.standard_normal(g.shape, np.float32) for n, g in sent.items()}


@dataclass(frozen=True, slots=True)
class KnownStep:
    """A client's step as an attacker knows it who knows the defenses.

    Attributes:
        step: how the update was computed.
        extra: the weights of an objective's own, which a server sends out with the net's.
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
    """The mean of the records' own gradients, each scaled down to norm ``clip`` at most."""
    import torch

    def loss(
        held: dict[str, torch.Tensor], one: torch.Tensor, wanted: torch.Tensor
    ) -> torch.Tensor:
        used = {name: w[None] for name, w in held.items()}
        return forward(net, used, one[None, None], wanted[None, None]).cross_entropy().sum()

    fixed = {name: w.detach() for name, w in weights.items()}
    own = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(fixed, x, targets)
    norm = torch.stack([g.flatten(1).square().sum(1) for g in own.values()]).sum(0).sqrt()
    factor = (clip / (norm + TINY)).clamp(max=1.0) / len(x)
    return [torch.tensordot(factor, g, 1) for g in own.values()]


def _nobody(*_: Any) -> Any:
    raise UsageError("what a record is taught here follows from the whole data set, not a batch")

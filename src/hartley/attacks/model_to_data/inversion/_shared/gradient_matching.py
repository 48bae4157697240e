"""The distance between the gradient of guessed records and the gradient that a client sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.games.inversion.client_step import KnownStep, Step

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.kit.nets import Net

    Update = Mapping[str, NDArray[Any]]
    Distance = Callable[[list[torch.Tensor], list[torch.Tensor]], torch.Tensor]


def training_targets(net: Net, known: KnownStep | None = None) -> NDArray[np.float32]:
    """Return the training target (classes,) of each label, as rows, as far as an attacker knows."""
    labels = np.arange(net.classes)
    step = Step(net) if known is None else known.step
    return step.taught(np.zeros((net.classes, *net.inputs), np.float32), labels)


class GradientObjective:
    """(records (b, …), labels) → the distance of their gradient from the client's.

    Labels are integers (b,) or the logits (b, classes) of soft labels. An attacker who does not
    know the client's step assumes the plain cross-entropy.

    Attributes:
        free: noise that the client's objective drew: unknowns to search together with the records.
    """

    def __init__(
        self,
        net: Net,
        weights: Update,
        update: Update,
        distance: Distance,
        *,
        batch: int,
        sparse: bool = False,
        known: KnownStep | None = None,
    ) -> None:
        """Store the update of the client.

        Args:
            net: the architecture.
            weights: its parameters.
            update: the gradient that the client sent.
            distance: (gradient, target) → distance, each as a list of arrays.
            batch: number of records.
            sparse: compare only the entries that were sent, for a client who omits small ones.
            known: the client's step, if the attacker knows it.
        """
        import torch

        self.step, self.distance, self.free = Step(net), distance, list[torch.Tensor]()
        all_weights = dict(weights)
        if known is not None:
            self.step, all_weights = known.step, {**all_weights, **known.extra}
        self.weights = {n: torch.tensor(np.array(w, np.float32)).requires_grad_() for n, w in
                     all_weights.items()}  # fmt: skip
        self.target = [torch.tensor(np.array(update[n], np.float32)) for n in self.weights]
        self.mask = [(w != 0).float() if sparse else torch.ones(()) for w in self.target]
        self.targets = torch.from_numpy(np.array(training_targets(net, known)))
        self.batch, self.draws = batch, 0
        # A first call determines how much noise there is to search.
        self(torch.zeros(batch, *net.inputs), torch.zeros(batch, dtype=torch.int64))

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distance of records (b, …) with these labels."""
        rows = y.softmax(1) @ self.targets if y.is_floating_point() else self.targets[y]
        self.draws = 0
        gradients = self.step.gradients(self.weights, x, rows, self._noise, graph=True)
        return self.distance(
            [f * m for f, m in zip(gradients, self.mask, strict=True)], self.target
        )

    def _noise(self, width: int) -> torch.Tensor:
        import torch

        self.draws += 1
        if self.draws > len(self.free):
            self.free.append(torch.zeros(1, self.batch, width, requires_grad=True))
        return self.free[self.draws - 1]

    def reset(self) -> None:
        """Set the noise to its mode, for another start."""
        for noise in self.free:
            noise.data.zero_()

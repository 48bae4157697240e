"""Guessed records against a gradient that was sent: by the client's step, as far as it is known."""

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


def taught(net: Net, known: KnownStep | None = None) -> NDArray[np.float32]:
    """(classes, classes): what a record of each label is taught, as far as an attacker knows."""
    every = np.arange(net.classes)
    step = Step(net) if known is None else known.step
    return step.taught(np.zeros((net.classes, *net.inputs), np.float32), every)


class Matcher:
    """(records (b, …), labels) → how far their gradient is from the one that was sent.

    Labels are integers (b,) or the logits (b, classes) of soft ones. Who does not know the client's
    step takes it for one on the plain cross-entropy.

    Attributes:
        free: what besides the records was drawn by the client, noise of his objective's own:
            unknowns to be searched with them.
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
        """Take the update in.

        Args:
            net: the architecture.
            weights: its parameters.
            update: what was sent.
            distance: between (found, wanted) arrays.
            batch: number of records.
            sparse: compare only the entries that were sent, where it is known that the small ones
                are not.
            known: the client's step, where the attacker knows it.
        """
        import torch

        self.step, self.distance, self.free = Step(net), distance, list[torch.Tensor]()
        whole = dict(weights)
        if known is not None:
            self.step, whole = known.step, {**whole, **known.extra}
        self.held = {n: torch.tensor(np.array(w, np.float32)).requires_grad_() for n, w in
                     whole.items()}  # fmt: skip
        self.wanted = [torch.tensor(np.array(update[n], np.float32)) for n in self.held]
        self.sent = [(w != 0).float() if sparse else torch.ones(()) for w in self.wanted]
        self.targets = torch.from_numpy(np.array(taught(net, known)))
        self.batch, self.drawn = batch, 0
        # A first look settles how much noise there is to be searched.
        self(torch.zeros(batch, *net.inputs), torch.zeros(batch, dtype=torch.int64))

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """The distance of (b, …) records with those labels."""
        rows = y.softmax(1) @ self.targets if y.is_floating_point() else self.targets[y]
        self.drawn = 0
        found = self.step.gradients(self.held, x, rows, self._noise, graph=True)
        return self.distance([f * m for f, m in zip(found, self.sent, strict=True)], self.wanted)

    def _noise(self, width: int) -> torch.Tensor:
        import torch

        self.drawn += 1
        if self.drawn > len(self.free):
            self.free.append(torch.zeros(1, self.batch, width, requires_grad=True))
        return self.free[self.drawn - 1]

    def reset(self) -> None:
        """Noise back at its mode, for another start."""
        for one in self.free:
            one.data.zero_()

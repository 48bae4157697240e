"""The distance between the gradient of guessed records and the gradient that a client sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.games.inversion.client_step import KnownStep, Step
from hartley.kit.fleet.objective import forward

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core import Outcome, View
    from hartley.core.parts import Rng
    from hartley.games.inversion.gradient_inversion import GradientInversionBrief
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


class Clients:
    """(records (K, b, …), labels (K, b)) → (K,) distances of gradients from what K clients sent.

    A stack of dense nets gives the gradients of K plain steps at once, each as it would be alone
    but for the rounding of its last digit. Of a convolutional net, and of any other step, there is
    one client.

    Attributes:
        free: noise that a client's objective drew, as of ``GradientObjective``.
    """

    def __init__(
        self,
        briefs: Sequence[GradientInversionBrief],
        weights: Sequence[Update],
        distance: Distance,
        *,
        sparse: bool = False,
    ) -> None:
        """Store what the clients sent.

        Args:
            briefs: of the clients, who are alike (``alike``).
            weights: the parameters of each net.
            distance: (gradients, targets), each a list of arrays (K, …) → (K,) distances.
            sparse: compare only the entries that were sent.
        """
        import torch

        first = briefs[0]
        self.net, self.distance, self.free = first.net, distance, list[torch.Tensor]()
        self.alone: GradientObjective | None = None
        if not _stacks(first):
            self.alone = GradientObjective(
                first.net, weights[0], first.gradient, self._alone, batch=first.batch,
                sparse=sparse, known=first.step,
            )  # fmt: skip
            self.free = self.alone.free
            return
        names = list(weights[0])
        self.weights = {
            name: torch.tensor(np.stack([np.array(w[name], np.float32) for w in weights]))
            .requires_grad_()
            for name in names
        }  # fmt: skip
        self.target = [
            torch.tensor(np.stack([np.array(brief.gradient[name], np.float32) for brief in briefs]))
            for name in names
        ]
        self.mask = [(w != 0).float() if sparse else torch.ones(()) for w in self.target]
        self.targets = torch.from_numpy(np.array(training_targets(self.net)))

    def __call__(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distance (K,) of each client's records."""
        if self.alone is not None:
            return self.alone(x[0], y[0])[None]
        return self._of(None, x, y)

    def _of(self, places: list[int] | None, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Return the distances of some clients of the stack; None: of all."""
        import torch

        weights, target, mask = self.weights, self.target, self.mask
        if places is not None and len(places) < len(target[0]):
            weights = {n: w.detach()[places].requires_grad_() for n, w in weights.items()}
            target = [t[places] for t in target]
            mask = [m[places] if m.ndim else m for m in mask]
        rows = y.softmax(2) @ self.targets if y.is_floating_point() else self.targets[y]
        loss = forward(self.net, weights, x, rows).cross_entropy().mean(1).sum()
        gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        return self.distance([f * m for f, m in zip(gradients, mask, strict=True)], target)

    def slopes(
        self, places: list[int], points: list[tuple[torch.Tensor, torch.Tensor]]
    ) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
        """Return the distance of some of a stack of clients, and its slopes.

        Args:
            places: of the clients.
            points: of each the records (b, …) and the labels (b,) or soft labels (b, classes).

        Returns:
            For each client its distance, and the slope by the records and by soft labels.
        """
        import torch

        x = torch.stack([records for records, _ in points]).requires_grad_()
        y = torch.stack([labels for _, labels in points])
        unknowns = [x, y.requires_grad_()] if y.is_floating_point() else [x]
        distances = self._of(places, x, y)
        slopes = torch.autograd.grad(distances.sum(), unknowns)
        return [
            (distance, [slope[k].contiguous() for slope in slopes])
            for k, distance in enumerate(distances.detach())
        ]

    def _alone(self, gradient: list[torch.Tensor], target: list[torch.Tensor]) -> torch.Tensor:
        return self.distance([g[None] for g in gradient], [t[None] for t in target])[0]

    def reset(self) -> None:
        """Set the noise to its mode, for another start."""
        if self.alone is not None:
            self.alone.reset()


def _stacks(brief: GradientInversionBrief) -> bool:
    """Whether a client's step is one of those that a stack of nets computes at once."""
    return brief.step is None and brief.net.kind == "dense"


def alike(briefs: Sequence[GradientInversionBrief]) -> list[list[int]]:
    """Return the places of clients whose records can be searched together, group by group.

    They have batches of one size, one architecture and one range of records.
    """
    groups: dict[Any, list[int]] = {}
    for place, brief in enumerate(briefs):
        public, key = brief.public, tuple[Any, ...](("alone", place))
        if public is not None and _stacks(brief):
            key = (brief.batch, repr(brief.net.recipe), public.x.min(), public.x.max())
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def in_groups(
    search: Callable[..., list[Outcome]],
    views: Sequence[View[GradientInversionBrief]],
    rngs: Sequence[Rng],
    settings: Mapping[str, Any],
) -> list[Outcome]:
    """Return the outcome of each round: those whose clients are alike are searched together.

    Args:
        search: (views, rngs, **settings) → outcomes of clients who are alike.
        views: of all rounds.
        rngs: their generators.
        settings: the parameters of the attack.
    """
    outcomes: dict[int, Outcome] = {}
    for places in alike([view.brief for view in views]):
        group = [views[place] for place in places], [rngs[place] for place in places]
        outcomes |= zip(places, search(*group, **settings), strict=True)
    return [outcomes[place] for place in range(len(views))]

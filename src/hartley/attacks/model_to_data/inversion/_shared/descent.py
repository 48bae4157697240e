"""Search records by L-BFGS whose gradients equal what clients sent: each client in its own search.

The searches of clients who are alike go in lockstep: their gradients are computed in one call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared import gradient_leaks, gradient_matching
from hartley.core import Data, Outcome, View
from hartley.kit.eager_optimizers import eager
from hartley.kit.lockstep import Ask, lockstep

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.games.inversion.gradient_inversion import GradientInversionBrief

    Views = Sequence[View[GradientInversionBrief]]
    Slope = Callable[[torch.Tensor, torch.Tensor, list[torch.Tensor]], torch.Tensor]

MATCH = 1e-7
"""Squared distance, as a share of the gradient's square, below which a start has matched it."""


@dataclass(frozen=True, slots=True)
class _Search:
    """The search of one client's records.

    Attributes:
        shape: (b, …) of the records.
        limits: of their values.
        labels: (b,) that the last bias shows, or None: soft labels (b, classes) are searched too.
        classes: of the net.
        restarts, steps: of the search.
        rng: draws the starts.
    """

    shape: tuple[int, ...]
    limits: tuple[float, float]
    labels: NDArray[np.int64] | None
    classes: int
    restarts: int
    steps: int
    rng: Rng

    def run(self, slope: Slope, free: Sequence[torch.Tensor]) -> NDArray[np.float32]:
        """Return the records of the start that ends nearest.

        Args:
            slope: (records, labels, unknowns) → the distance, whose slopes it leaves in the
                unknowns.
            free: noise of a client's objective, searched together with the records.
        """
        import torch

        best, records = np.inf, np.zeros(self.shape, np.float32)
        for _ in range(self.restarts):
            start = self.rng.uniform(*self.limits, self.shape).astype(np.float32)
            x = torch.tensor(start, requires_grad=True)
            soft = torch.zeros((self.shape[0], self.classes), requires_grad=True)
            y = soft if self.labels is None else torch.from_numpy(self.labels)
            for noise in free:
                noise.data.zero_()
            unknowns = [x, *([soft] if self.labels is None else []), *free]
            final = _descend(slope, x, y, unknowns, self.steps)
            if final < best:
                best, records = final, x.detach().numpy().copy()
            if best < MATCH:
                break
        return np.clip(np.nan_to_num(records), *self.limits).astype(np.float32)


def search(
    views: Views, rngs: Sequence[Rng], *, restarts: int, steps: int, rule: bool
) -> list[Outcome]:
    """Return the records of clients who are alike (``gradient_matching.alike``).

    The parameters are those of ``dlg``.
    """
    first = views[0]
    noisy = gradient_leaks.knows(first.defenses, "gradient_noise")
    clients = gradient_matching.Clients(
        [view.brief for view in views],
        [view.model.calls["weights"]() for view in views],
        _scaled if noisy else _squares,
        sparse=gradient_leaks.knows(first.defenses, "gradient_compression"),
    )
    searches = [
        _search_of(view, rng, restarts, steps, rule) for view, rng in zip(views, rngs, strict=True)
    ]
    if clients.alone is not None:
        objective = clients.alone

        def slope(x: Any, y: Any, unknowns: Any) -> torch.Tensor:
            for unknown in unknowns:
                unknown.grad = None
            value = objective(x, y)
            value.backward(inputs=unknowns)
            return value.detach()

        rebuilt = [searches[0].run(slope, clients.free)]
    else:
        rebuilt = lockstep([_asking(one) for one in searches], clients.slopes)
    return [Outcome(asset=Data("rebuilt records", first.model.modality, x)) for x in rebuilt]


def _search_of(
    view: View[GradientInversionBrief], rng: Rng, restarts: int, steps: int, rule: bool
) -> _Search:
    brief, net = view.brief, view.brief.net
    public = brief.public.x if brief.public is not None else rng.random((64, *net.inputs))
    mean = view.model.query(public[:256]).mean(0)
    labels = gradient_leaks.labels(brief.gradient, net, brief.batch, mean, brief.step)
    limits = float(public.min()), float(public.max())
    shape = (brief.batch, *net.inputs)
    return _Search(shape, limits, labels if rule else None, net.classes, restarts, steps, rng)


def _asking(one: _Search) -> Callable[[Ask], NDArray[np.float32]]:
    """A search that asks for the distance and its slopes instead of computing them."""

    def run(ask: Ask) -> NDArray[np.float32]:
        def slope(x: Any, y: Any, unknowns: Any) -> torch.Tensor:
            value, slopes = ask((x.detach(), y.detach()))
            for unknown, of_unknown in zip(unknowns, slopes, strict=True):
                unknown.grad = of_unknown
            return value

        return one.run(slope, ())

    return run


def _descend(
    slope: Slope, x: torch.Tensor, y: torch.Tensor, unknowns: list[torch.Tensor], steps: int
) -> float:
    """Minimise by L-BFGS with a line search; return the distance, infinite if it diverged."""
    import torch

    optimiser = eager("LBFGS")(
        unknowns, max_iter=steps, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=1e-9, tolerance_change=1e-10,
    )  # fmt: skip
    optimiser.step(lambda: slope(x, y, unknowns))
    distance = float(slope(x, y, unknowns))
    return distance if np.isfinite(distance) and bool(torch.isfinite(x).all()) else np.inf


def _squares(gradients: list[torch.Tensor], targets: list[torch.Tensor]) -> torch.Tensor:
    """Return the squared distances (K,) of gradients, as shares of the targets' squares."""
    import torch

    differences = [(a - b) ** 2 for a, b in zip(gradients, targets, strict=True)]
    squares = torch.stack([d.flatten(1).sum(1) for d in differences]).sum(0)
    sizes = torch.stack([(b**2).flatten(1).sum(1) for b in targets]).sum(0)
    return squares / sizes.clamp_min(1e-20)


def _scaled(gradients: list[torch.Tensor], targets: list[torch.Tensor]) -> torch.Tensor:
    """Return the same at the best scale of each gradient, for an update with a clipped norm."""
    import torch

    pairs = list(zip(gradients, targets, strict=True))
    products = torch.stack([(a * b).flatten(1).sum(1) for a, b in pairs]).sum(0)
    sizes = torch.stack([(a**2).flatten(1).sum(1) for a in gradients]).sum(0).clamp_min(1e-20)
    scale = products / sizes
    scaled = [a * scale.reshape(-1, *[1] * (a.ndim - 1)) for a in gradients]
    return _squares(scaled, targets)

"""Search the records of clients whose gradients have the direction of what these sent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared import gradient_leaks, gradient_matching
from hartley.core import Data, Modality, Outcome, View
from hartley.kit.eager_optimizers import eager

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from hartley.core.parts import Rng
    from hartley.games.inversion.gradient_inversion import GradientInversionBrief

    Views = Sequence[View[GradientInversionBrief]]

SMOOTH = {Modality.VISION: 0.01, Modality.AUDIO: 0.1}
"""Default initial weight of the total variation."""


def search(
    views: Views,
    rngs: Sequence[Rng],
    *,
    restarts: int,
    steps: int,
    rate: float,
    smooth: float,
    enough: float,
) -> list[Outcome]:
    """Return the records of clients who are alike (``gradient_matching.alike``).

    Each client's search moves as it would alone. The parameters are those of ``cosine_gradient``.
    """
    import torch

    first = views[0]
    net, modality = first.brief.net, first.model.modality
    smoothness = SMOOTH[modality] if smooth < 0 else smooth
    shape = (first.brief.batch, *net.inputs)
    publics = [_public(view, rng) for view, rng in zip(views, rngs, strict=True)]
    low, high = float(publics[0].min()), float(publics[0].max())
    clients = gradient_matching.Clients(
        [view.brief for view in views],
        [view.model.calls["weights"]() for view in views],
        _angles,
        sparse=gradient_leaks.knows(first.defenses, "gradient_compression"),
    )
    y = torch.from_numpy(np.stack([_labels(v, x) for v, x in zip(views, publics, strict=True)]))
    best, records = np.full(len(views), np.inf), np.zeros((len(views), *shape), np.float32)
    for _ in range(restarts):
        starts = [
            public.mean() + public.std() * rng.standard_normal(shape)
            for public, rng in zip(publics, rngs, strict=True)
        ]
        x = torch.tensor(np.stack(starts).astype(np.float32), requires_grad=True)
        clients.reset()
        unknowns = [x, *clients.free]
        optimiser = eager("Adam")(unknowns, lr=rate * (high - low))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimiser, steps, 0.01 * rate * (high - low)
        )
        ended = torch.zeros(len(views), dtype=torch.bool)
        for t in range(steps):
            angles = clients(x, y)
            ended |= angles.detach() < enough
            if bool(ended.all()):
                break
            # Smoothness guides the start of the search; at the end it would only blur the records.
            blur = smoothness * (1 - t / steps) ** 2 * gradient_leaks.variations(x)
            slopes = torch.autograd.grad((angles + blur).sum(), unknowns)
            for unknown, slope in zip(unknowns, slopes, strict=True):
                unknown.grad = slope.sign()
            before = x.detach().clone()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                x.clamp_(low, high)
                x[ended] = before[ended]
        distances = clients(x, y).detach().numpy()
        better = distances < best
        best[better], records[better] = distances[better], x.detach().numpy()[better]
    return [Outcome(asset=Data("rebuilt records", modality, rebuilt)) for rebuilt in records]


def _public(view: View[GradientInversionBrief], rng: Rng) -> NDArray[Any]:
    brief = view.brief
    return brief.public.x if brief.public is not None else rng.random((64, *brief.net.inputs))


def _labels(view: View[GradientInversionBrief], public: NDArray[Any]) -> NDArray[np.int64]:
    brief, mean = view.brief, view.model.query(public[:256]).mean(0)
    return gradient_leaks.labels(brief.gradient, brief.net, brief.batch, mean, brief.step)


def _angles(gradients: list[torch.Tensor], targets: list[torch.Tensor]) -> torch.Tensor:
    """Return 1 minus the cosine (K,) of two gradients of each client, over all their entries."""
    a = [(f * w).flatten(1).sum(1) for f, w in zip(gradients, targets, strict=True)]
    b, c = ([(f**2).flatten(1).sum(1) for f in side] for side in (gradients, targets))
    square: torch.Tensor = sum(b, b[0] * 0) * sum(c, c[0] * 0)
    return 1 - sum(a, a[0] * 0) / (square + 1e-20).sqrt()

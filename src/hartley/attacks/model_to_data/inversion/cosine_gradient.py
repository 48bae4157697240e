"""Gradient inversion by cosine similarity: match the direction of the gradient; smooth records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.inversion._shared import gradient_leaks, gradient_matching
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.inversion.gradient_inversion import GradientInversionBrief, gradient_inversion

if TYPE_CHECKING:
    import torch

    from hartley.core.parts import Rng


@attack(
    game=gradient_inversion,
    access=Access.SCORES | Access.GRADIENTS | Access.WEIGHTS,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO),
    paper="arXiv:2003.14053",
    adapts=True,
    light={"steps": 30},
)
def cosine_gradient(
    view: View[GradientInversionBrief],
    rng: Rng,
    *,
    restarts: Annotated[int, Range(1), Stronger.MORE] = 1,
    steps: Annotated[int, Range(1), Stronger.MORE] = 200,
    rate: Annotated[float, Range(0, open_low=True)] = 0.1,
    smooth: Annotated[float, Range(-1)] = -1.0,
    enough: Annotated[float, Range(0, 1)] = 1e-4,
) -> Outcome:
    """Search records whose gradient has the direction of the client's gradient, by signed Adam.

    An adaptive attacker who knows of a training-time defense computes the client's real step on the
    guess, and searches the noise of that step together with the records.

    Args:
        restarts: number of random starts; the one with the largest cosine is the result.
        steps: steps per start; the step size falls to a hundredth.
        rate: initial step size, as a share of the records' range.
        smooth: initial weight of the total variation, which falls to 0. At -1 it is 0.01 for
            pictures and 0.1 for sound, whose spectrograms are smoother.
        enough: a start ends when 1 minus the cosine falls below this.
    """
    import torch

    brief, weights = view.brief, view.model.calls["weights"]()
    update, net, batch = brief.gradient, brief.net, brief.batch
    smoothness = SMOOTH[view.model.modality] if smooth < 0 else smooth
    shape = (batch, *net.inputs)
    public = brief.public.x if brief.public is not None else rng.random((64, *net.inputs))
    low, high = float(public.min()), float(public.max())
    compressed = gradient_leaks.knows(view.defenses, "gradient_compression")
    objective = gradient_matching.GradientObjective(
        net, weights, update, _angle, batch=batch, sparse=compressed, known=brief.step
    )
    mean = view.model.query(public[:256]).mean(0)
    labels = gradient_leaks.labels(update, net, batch, mean, brief.step)
    y = torch.from_numpy(labels)
    best, records = np.inf, np.zeros(shape, np.float32)
    for _ in range(restarts):
        start = public.mean() + public.std() * rng.standard_normal(shape)
        x = torch.tensor(start.astype(np.float32), requires_grad=True)
        objective.reset()
        unknowns = [x, *objective.free]
        optimiser = torch.optim.Adam(unknowns, lr=rate * (high - low))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimiser, steps, 0.01 * rate * (high - low)
        )
        for t in range(steps):
            angle = objective(x, y)
            if float(angle.detach()) < enough:
                break
            # Smoothness guides the start of the search; at the end it would only blur the records.
            loss = angle + smoothness * (1 - t / steps) ** 2 * gradient_leaks.variation(x)
            for unknown, slope in zip(unknowns, torch.autograd.grad(loss, unknowns), strict=True):
                unknown.grad = slope.sign()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                x.clamp_(low, high)
        distance = float(objective(x, y).detach())
        if distance < best:
            best, records = distance, x.detach().numpy().copy()
    return Outcome(asset=Data("rebuilt records", view.model.modality, records))


SMOOTH = {Modality.VISION: 0.01, Modality.AUDIO: 0.1}
"""Default initial weight of the total variation."""


def _angle(gradient: list[torch.Tensor], target: list[torch.Tensor]) -> torch.Tensor:
    """Return 1 minus the cosine of two gradients, over all their entries."""
    a = [(f * w).sum() for f, w in zip(gradient, target, strict=True)]
    b, c = [(f**2).sum() for f in gradient], [(w**2).sum() for w in target]
    square: torch.Tensor = sum(b, b[0] * 0) * sum(c, c[0] * 0)
    return 1 - sum(a, a[0] * 0) / (square + 1e-20).sqrt()

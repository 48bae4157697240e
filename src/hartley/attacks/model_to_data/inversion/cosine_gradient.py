"""Gradient inversion by direction: cosine similarity with total variation, for trained nets too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.attacks.model_to_data.inversion._shared import gradient_leaks, gradient_matching
from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
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
)
def cosine_gradient(
    view: View[GradientInversionBrief],
    rng: Rng,
    *,
    restarts: Annotated[int, Range(1)] = 1,
    steps: Annotated[int, Range(1)] = 200,
    rate: Annotated[float, Range(0, open_low=True)] = 0.1,
    smooth: Annotated[float, Range(-1)] = -1.0,
    enough: Annotated[float, Range(0, 1)] = 1e-4,
) -> Outcome:
    """Turn the gradient of guessed records into the direction that was sent, by signed Adam.

    Who knows of a training-time defence takes the client's own step on his guess, and searches the
    noise that it drew together with the records.

    Args:
        restarts: random starts; the one whose gradient points nearest is kept.
        steps: steps of a start; the step size falls to a hundredth on the way.
        rate: first step size, as a share of the records' range.
        smooth: weight of the total variation at first; it falls to nothing on the way. At -1 it
            is 0.01 for pictures and 0.1 for sound, whose spectrograms are smoother.
        enough: a start ends when one less the cosine falls below this.
    """
    import torch

    brief, weights = view.brief, view.model.calls["weights"]()
    update, net, batch = brief.gradient, brief.net, brief.batch
    rough = SMOOTH[view.model.modality] if smooth < 0 else smooth
    shape = (batch, *net.inputs)
    public = brief.public.x if brief.public is not None else rng.random((64, *net.inputs))
    low, high = float(public.min()), float(public.max())
    thin = gradient_leaks.knows(view.defenses, "gradient_compression")
    gap = gradient_matching.Matcher(
        net, weights, update, _angle, batch=batch, sparse=thin, known=brief.step
    )
    mean = view.model.query(public[:256]).mean(0)
    read = gradient_leaks.labels(update, net, batch, mean, brief.step)
    y = torch.from_numpy(read)
    best, found = np.inf, np.zeros(shape, np.float32)
    for _ in range(restarts):
        start = public.mean() + public.std() * rng.standard_normal(shape)
        x = torch.tensor(start.astype(np.float32), requires_grad=True)
        gap.reset()
        moved = [x, *gap.free]
        mover = torch.optim.Adam(moved, lr=rate * (high - low))
        fall = torch.optim.lr_scheduler.CosineAnnealingLR(mover, steps, 0.01 * rate * (high - low))
        for t in range(steps):
            angle = gap(x, y)
            if float(angle.detach()) < enough:
                break
            # Smoothness leads the way; in the end it would only blur what the gradient says.
            loss = angle + rough * (1 - t / steps) ** 2 * gradient_leaks.variation(x)
            for one, slope in zip(moved, torch.autograd.grad(loss, moved), strict=True):
                one.grad = slope.sign()
            mover.step()
            fall.step()
            with torch.no_grad():
                x.clamp_(low, high)
        end = float(gap(x, y).detach())
        if end < best:
            best, found = end, x.detach().numpy().copy()
    return Outcome(asset=Data("rebuilt records", view.model.modality, found))


SMOOTH = {Modality.VISION: 0.01, Modality.AUDIO: 0.1}
"""Weight of the total variation where nobody names one."""


def _angle(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """One less the cosine between all entries together."""
    a = [(f * w).sum() for f, w in zip(found, wanted, strict=True)]
    b, c = [(f**2).sum() for f in found], [(w**2).sum() for w in wanted]
    square: torch.Tensor = sum(b, b[0] * 0) * sum(c, c[0] * 0)
    return 1 - sum(a, a[0] * 0) / (square + 1e-20).sqrt()

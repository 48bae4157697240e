"""Deep leakage from gradients: search records whose gradient equals the client's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1906.08935",
    adapts=True,
)
def dlg(
    view: View[GradientInversionBrief],
    rng: Rng,
    *,
    restarts: Annotated[int, Range(1), Stronger.MORE] = 2,
    steps: Annotated[int, Range(1), Stronger.MORE] = 100,
    rule: bool = True,
) -> Outcome:
    """Minimise the squared distance between gradients over the records, by L-BFGS.

    An adaptive attacker who knows of a training-time defense computes the client's real step on the
    guess (as arXiv:2111.04706 does), and searches the noise of that step together with the records.

    Args:
        restarts: number of random starts; the one that ends nearest is the result, and a match
            ends the search.
        steps: L-BFGS iterations per start.
        rule: compute the labels from the last bias (iDLG, arXiv:2001.02610) instead of searching
            for soft labels together with the records.
    """
    import torch

    brief, weights = view.brief, view.model.calls["weights"]()
    update, net, batch = brief.gradient, brief.net, brief.batch
    shape = (batch, *net.inputs)
    public = brief.public.x if brief.public is not None else rng.random((64, *net.inputs))
    low, high = float(public.min()), float(public.max())
    compressed = gradient_leaks.knows(view.defenses, "gradient_compression")
    distance = _scaled if gradient_leaks.knows(view.defenses, "gradient_noise") else _squares
    objective = gradient_matching.GradientObjective(
        net, weights, update, distance, batch=batch, sparse=compressed, known=brief.step
    )
    mean = view.model.query(public[:256]).mean(0)
    labels = gradient_leaks.labels(update, net, batch, mean, brief.step)
    best, records = np.inf, np.zeros(shape, np.float32)
    for _ in range(restarts):
        x = torch.tensor(rng.uniform(low, high, shape).astype(np.float32), requires_grad=True)
        soft = torch.zeros((batch, net.classes), requires_grad=True)
        y = torch.from_numpy(labels) if rule else soft
        objective.reset()
        unknowns = [x, *objective.free] if rule else [x, soft, *objective.free]
        final = _descend(objective, x, y, unknowns, steps)
        if final < best:
            best, records = final, x.detach().numpy().copy()
        if best < MATCH:
            break
    clipped = np.clip(np.nan_to_num(records), low, high).astype(np.float32)
    return Outcome(asset=Data("rebuilt records", view.model.modality, clipped))


MATCH = 1e-7
"""Squared distance, as a share of the gradient's square, below which a start has matched it."""


def _descend(
    objective: Any, x: torch.Tensor, y: torch.Tensor, unknowns: list[Any], steps: int
) -> float:
    """Minimise by L-BFGS with a line search; return the distance, infinite if it diverged."""
    import torch

    optimiser = torch.optim.LBFGS(
        unknowns, max_iter=steps, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=1e-9, tolerance_change=1e-10,
    )  # fmt: skip

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value: torch.Tensor = objective(x, y)
        value.backward(inputs=unknowns)
        return value

    optimiser.step(loss)
    distance = float(objective(x, y).detach())
    return distance if np.isfinite(distance) and bool(torch.isfinite(x).all()) else np.inf


def _squares(gradient: list[torch.Tensor], target: list[torch.Tensor]) -> torch.Tensor:
    """Return the squared distance of two gradients, as a share of the target's square."""
    import torch

    squares = torch.stack(
        [((a - b) ** 2).sum() for a, b in zip(gradient, target, strict=True)]
    ).sum()
    return squares / torch.stack([(b**2).sum() for b in target]).sum().clamp_min(1e-20)


def _scaled(gradient: list[torch.Tensor], target: list[torch.Tensor]) -> torch.Tensor:
    """Return the same at the best scale of the gradient, for an update with a clipped norm."""
    import torch

    product = torch.stack([(a * b).sum() for a, b in zip(gradient, target, strict=True)]).sum()
    square = torch.stack([(a**2).sum() for a in gradient]).sum().clamp_min(1e-20)
    return _squares([a * product / square for a in gradient], target)

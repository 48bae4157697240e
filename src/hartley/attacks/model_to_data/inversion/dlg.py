"""Deep leakage from gradients: find records whose gradient is the one that was sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

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
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1906.08935",
    adapts=True,
)
def dlg(
    view: View[GradientInversionBrief],
    rng: Rng,
    *,
    restarts: Annotated[int, Range(1)] = 2,
    steps: Annotated[int, Range(1)] = 100,
    rule: bool = True,
) -> Outcome:
    """Minimise the squared distance between gradients over the records, by L-BFGS.

    Who knows of a training-time defence takes the client's own step on his guess (arXiv:2111.04706
    breaks defences so), and searches the noise that it drew together with the records.

    Args:
        restarts: random starts; the one that ends nearest is kept, and a match ends the search.
        steps: L-BFGS iterations of a start.
        rule: take the labels from the last bias (iDLG, arXiv:2001.02610) instead of searching for
            soft ones together with the records.
    """
    import torch

    brief, weights = view.brief, view.model.calls["weights"]()
    update, net, batch = brief.gradient, brief.net, brief.batch
    shape = (batch, *net.inputs)
    public = brief.public.x if brief.public is not None else rng.random((64, *net.inputs))
    low, high = float(public.min()), float(public.max())
    thin = gradient_leaks.knows(view.defenses, "gradient_compression")
    distance = _scaled if gradient_leaks.knows(view.defenses, "gradient_noise") else _squares
    gap = gradient_matching.Matcher(
        net, weights, update, distance, batch=batch, sparse=thin, known=brief.step
    )
    mean = view.model.query(public[:256]).mean(0)
    read = gradient_leaks.labels(update, net, batch, mean, brief.step)
    best, found = np.inf, np.zeros(shape, np.float32)
    for _ in range(restarts):
        x = torch.tensor(rng.uniform(low, high, shape).astype(np.float32), requires_grad=True)
        soft = torch.zeros((batch, net.classes), requires_grad=True)
        y = torch.from_numpy(read) if rule else soft
        gap.reset()
        moved = [x, *gap.free] if rule else [x, soft, *gap.free]
        end = _descend(gap, x, y, moved, steps)
        if end < best:
            best, found = end, x.detach().numpy().copy()
        if best < MATCH:
            break
    kept = np.clip(np.nan_to_num(found), low, high).astype(np.float32)
    return Outcome(asset=Data("rebuilt records", view.model.modality, kept))


MATCH = 1e-7
"""Share of the gradient's own square below which a start has matched it."""


def _descend(gap: Any, x: torch.Tensor, y: torch.Tensor, moved: list[Any], steps: int) -> float:
    """L-BFGS with a line search; returns the distance at the end (infinite if it diverged)."""
    import torch

    mover = torch.optim.LBFGS(
        moved, max_iter=steps, history_size=20, line_search_fn="strong_wolfe",
        tolerance_grad=1e-9, tolerance_change=1e-10,
    )  # fmt: skip

    def loss() -> torch.Tensor:
        mover.zero_grad()
        value: torch.Tensor = gap(x, y)
        value.backward(inputs=moved)  # type: ignore[no-untyped-call]
        return value

    mover.step(loss)  # type: ignore[no-untyped-call]
    end = float(gap(x, y).detach())
    return end if np.isfinite(end) and bool(torch.isfinite(x).all()) else np.inf


def _squares(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """Squared distance, as a share of the square of what is wanted."""
    import torch

    gaps = torch.stack([((a - b) ** 2).sum() for a, b in zip(found, wanted, strict=True)]).sum()
    return gaps / torch.stack([(b**2).sum() for b in wanted]).sum().clamp_min(1e-20)


def _scaled(found: list[torch.Tensor], wanted: list[torch.Tensor]) -> torch.Tensor:
    """The same at the best scale of what is found, for an update that was clipped to a norm."""
    import torch

    across = torch.stack([(a * b).sum() for a, b in zip(found, wanted, strict=True)]).sum()
    own = torch.stack([(a**2).sum() for a in found]).sum().clamp_min(1e-20)
    return _squares([a * across / own for a in found], wanted)

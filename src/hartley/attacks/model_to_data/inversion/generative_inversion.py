"""Generative inversion: search a class among likely records, keep what stays sure when moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared import vae_prior as priors
from hartley.attacks.model_to_data.inversion._shared.class_log_odds import log_odds, margin_slope
from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.core.brief import needed
from hartley.games.inversion.class_inversion import ClassInversionBrief, class_inversion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=class_inversion,
    access=Access.SCORES | Access.GRADIENTS,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:1911.07135",
    requires=("public",),
)
def generative_inversion(
    view: View[ClassInversionBrief],
    rng: Rng,
    *,
    restarts: Annotated[int, Range(1)] = 12,
    steps: Annotated[int, Range(1)] = 25,
    rate: Annotated[float, Range(0, open_low=True)] = 0.1,
    weight: Annotated[float, Range(0)] = 0.1,
    shakes: Annotated[int, Range(1)] = 4,
) -> Outcome:
    """Climb the log-odds of a class in the latent space of a prior learnt from public records.

    The climb is by log-odds, not by the loss, which flattens where the model is sure (the point of
    the Poincaré loss of arXiv:2201.12179 and of the logit loss of arXiv:2304.01669). Of several
    starts the one is kept whose record the model is surest of on average when it is shaken a little
    (arXiv:2201.12179's robust selection).

    Args:
        restarts: random starts for each class.
        steps: of Adam.
        rate: step size in the latent space.
        weight: of the prior's own odds of a latent point, against log-odds of the class.
        shakes: disturbed copies a selection is made by.
    """
    import torch

    asked, public = view.brief.question, needed(view.brief.public, "generative_inversion")
    prior = priors.learn(public.x, seed=view.salt)
    slots = np.repeat(asked.x[:, 0], restarts)
    start = rng.standard_normal((len(slots), prior.latent)).astype(np.float32)
    z = torch.tensor(start, requires_grad=True)
    mover = torch.optim.Adam([z], lr=rate)
    for _ in range(steps):
        x = prior.decode(z)
        slope, _ = margin_slope(view.model, x.detach().numpy(), slots)
        mover.zero_grad()
        # The model's slope stands for the model: decoding carries it on to the latent point.
        pull = -(x * torch.from_numpy(slope.astype(np.float32))).sum()
        (pull + weight * (z**2).sum() / 2).backward()  # type: ignore[no-untyped-call]
        mover.step()
    found = prior.records(z.detach().numpy())
    sure = np.mean(
        [log_odds(view.model, _shaken(found, rng, prior.limits), slots) for _ in range(shakes)], 0
    )
    best = [int(np.argmax(np.where(slots == slot, sure, -np.inf))) for slot in asked.x[:, 0]]
    loot = Data("rebuilt classes", view.model.modality, found[best], y=asked.x[:, 0])
    return Outcome(asset=loot)


def _shaken(x: NDArray[Any], rng: Rng, limits: tuple[float, float]) -> NDArray[np.float32]:
    """The records with a little noise; pictures also moved by a pixel at most, with fresh edges."""
    moved = x + 0.05 * (limits[1] - limits[0]) * rng.standard_normal(x.shape)
    if x.ndim == 4:
        wide = np.pad(moved, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
        down, right = rng.integers(0, 3, 2)
        moved = wide[:, :, down : down + x.shape[2], right : right + x.shape[3]]
    return np.clip(moved, *limits).astype(np.float32)

"""Generative inversion: search a class in the latent space of a generative model of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared import vae_prior as priors
from hartley.attacks.model_to_data.inversion._shared.class_log_odds import log_odds, margin_slope
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.core.brief import needed
from hartley.games.inversion.class_inversion import ClassInversionBrief, class_inversion
from hartley.kit.eager_optimizers import eager

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
    sweep={"weight": (0.01, 1.0)},
)
def generative_inversion(
    view: View[ClassInversionBrief],
    rng: Rng,
    *,
    restarts: Annotated[int, Range(1), Stronger.MORE] = 12,
    steps: Annotated[int, Range(1), Stronger.MORE] = 25,
    rate: Annotated[float, Range(0, open_low=True)] = 0.1,
    weight: Annotated[float, Range(0)] = 0.1,
    shakes: Annotated[int, Range(1), Stronger.MORE] = 4,
) -> Outcome:
    """Maximise the log-odds of a class in the latent space of a prior trained on public records.

    The log-odds replace the loss, which is flat where the model is confident (as do the Poincaré
    loss of arXiv:2201.12179 and the logit loss of arXiv:2304.01669). The best of several starts is
    the one whose noisy copies have the largest mean log-odds (the robust selection of
    arXiv:2201.12179).

    Args:
        restarts: random starts for each class.
        steps: steps of Adam.
        rate: step size in the latent space.
        weight: of the prior's log-odds of a latent point, relative to the log-odds of the class.
        shakes: noisy copies of a record that the selection averages over.
    """
    import torch

    question, public = view.brief.question, needed(view.brief.public, "generative_inversion")
    prior = priors.learn(public.x, seed=view.salt)
    slots = np.repeat(question.x[:, 0], restarts)
    start = rng.standard_normal((len(slots), prior.latent)).astype(np.float32)
    z = torch.tensor(start, requires_grad=True)
    optimiser = eager("Adam")([z], lr=rate)
    for _ in range(steps):
        x = prior.decode(z)
        slope, _ = margin_slope(view.model, x.detach().numpy(), slots)
        optimiser.zero_grad()
        # The gradient at the record replaces the model; the decoder passes it to the latent point.
        objective = -(x * torch.from_numpy(slope.astype(np.float32))).sum()
        (objective + weight * (z**2).sum() / 2).backward()
        optimiser.step()
    records = prior.records(z.detach().numpy())
    odds = np.mean(
        [log_odds(view.model, _noisy(records, rng, prior.limits), slots) for _ in range(shakes)], 0
    )
    best = [int(np.argmax(np.where(slots == slot, odds, -np.inf))) for slot in question.x[:, 0]]
    loot = Data("rebuilt classes", view.model.modality, records[best], y=question.x[:, 0])
    return Outcome(asset=loot)


def _noisy(x: NDArray[Any], rng: Rng, limits: tuple[float, float]) -> NDArray[np.float32]:
    """Return records (n, …) with a little noise; pictures are also shifted by up to one pixel."""
    noisy = x + 0.05 * (limits[1] - limits[0]) * rng.standard_normal(x.shape)
    if x.ndim == 4:
        padded = np.pad(noisy, ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")
        down, right = rng.integers(0, 3, 2)
        noisy = padded[:, :, down : down + x.shape[2], right : right + x.shape[3]]
    return np.clip(noisy, *limits).astype(np.float32)

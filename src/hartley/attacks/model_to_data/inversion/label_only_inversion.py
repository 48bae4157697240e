"""Label-only inversion: walk away from a class's border in the latent space of a prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared import vae_prior as priors
from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
from hartley.core.brief import needed
from hartley.games.inversion.class_inversion import ClassInversionBrief, class_inversion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=class_inversion,
    access=Access.LABELS,
    term=Term.SIGNAL,
    modalities=(Modality.VISION, Modality.AUDIO, Modality.TABULAR),
    paper="arXiv:2203.01925",
    requires=("public",),
)
def label_only_inversion(
    view: View[ClassInversionBrief],
    rng: Rng,
    *,
    start: Annotated[int, Range(1)] = 256,
    points: Annotated[int, Range(1)] = 32,
    steps: Annotated[int, Range(1)] = 20,
    radius: Annotated[float, Range(0, open_low=True)] = 0.5,
    growth: Annotated[float, Range(1)] = 1.3,
) -> Outcome:
    """Keep moving to where a whole sphere of latent points carries the label (BREP-MI).

    Points on a sphere round the present one that carry another label repel it. When none does the
    sphere grows; the centre of the largest sphere that was all of one label is the answer.

    Args:
        start: random latent points to begin from; one that carries the label is taken.
        points: on a sphere.
        steps: spheres.
        radius: of the first sphere.
        growth: of the radius when a sphere is all of the label.
    """
    asked, public = view.brief.question, needed(view.brief.public, "label_only_inversion")
    prior = priors.learn(public.x, seed=view.salt)
    drawn = rng.standard_normal((start, prior.latent))
    said = view.model.query(prior.records(drawn))
    rebuilt = []
    for slot in asked.x[:, 0]:
        carrying = np.flatnonzero(said == slot)
        centre = drawn[carrying[0]] if len(carrying) else 0.1 * drawn[0]
        best, reach = centre, radius
        for _ in range(steps):
            ways = rng.standard_normal((points, prior.latent))
            ways /= np.linalg.norm(ways, axis=1, keepdims=True)
            inside = view.model.query(prior.records(centre + reach * ways)) == slot
            if inside.all():
                best, reach = centre, reach * growth
                continue
            centre = centre + _away(ways, inside) * reach
            # A latent point far from all that the prior was trained on decodes to no record.
            centre *= min(1.0, FAR * np.sqrt(prior.latent) / max(np.linalg.norm(centre), 1e-12))
            if reach == radius:
                best = centre
        rebuilt.append(best)
    loot = prior.records(np.array(rebuilt))
    return Outcome(asset=Data("rebuilt classes", view.model.modality, loot, y=asked.x[:, 0]))


FAR = 1.2
"""Longest latent point, against the usual length of one that the prior draws."""


def _away(ways: NDArray[Any], inside: NDArray[Any]) -> NDArray[Any]:
    """The mean direction away from the points that carry another label, as long as it is agreed."""
    return np.asarray(-ways[~inside].mean(0))

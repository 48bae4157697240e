"""Label-only inversion: move away from a class's decision boundary in a latent space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared import vae_prior as priors
from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
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
    sweep={"start": (32, 256), "points": (8, 32)},
)
def label_only_inversion(
    view: View[ClassInversionBrief],
    rng: Rng,
    *,
    start: Annotated[int, Range(1), Stronger.MORE] = 256,
    points: Annotated[int, Range(1), Stronger.MORE] = 32,
    steps: Annotated[int, Range(1), Stronger.MORE] = 20,
    radius: Annotated[float, Range(0, open_low=True)] = 0.5,
    growth: Annotated[float, Range(1)] = 1.3,
) -> Outcome:
    """Move a latent point until a large sphere around it has the label of the class (BREP-MI).

    Points on the sphere with another label repel the centre. If there are none, the sphere grows.
    The result is the centre of the largest sphere with one label.

    Args:
        start: number of random latent points; the search starts at one with the label.
        points: number of points on a sphere.
        steps: number of spheres.
        radius: of the first sphere.
        growth: factor of the radius after a sphere with one label.
    """
    question, public = view.brief.question, needed(view.brief.public, "label_only_inversion")
    prior = priors.learn(public.x, seed=view.salt)
    latents = rng.standard_normal((start, prior.latent))
    labels = view.model.query(prior.records(latents))
    rebuilt = []
    for slot in question.x[:, 0]:
        with_label = np.flatnonzero(labels == slot)
        centre = latents[with_label[0]] if len(with_label) else 0.1 * latents[0]
        best, current_radius = centre, radius
        for _ in range(steps):
            directions = rng.standard_normal((points, prior.latent))
            directions /= np.linalg.norm(directions, axis=1, keepdims=True)
            inside = view.model.query(prior.records(centre + current_radius * directions)) == slot
            if inside.all():
                best, current_radius = centre, current_radius * growth
                continue
            centre = centre + _away(directions, inside) * current_radius
            # A latent point far from the prior's training data does not decode to a record.
            centre *= min(1.0, FAR * np.sqrt(prior.latent) / max(np.linalg.norm(centre), 1e-12))
            if current_radius == radius:
                best = centre
        rebuilt.append(best)
    records = prior.records(np.array(rebuilt))
    return Outcome(asset=Data("rebuilt classes", view.model.modality, records, y=question.x[:, 0]))


FAR = 1.2
"""Largest norm of a latent point, relative to the typical norm under the prior."""


def _away(directions: NDArray[Any], inside: NDArray[Any]) -> NDArray[Any]:
    """Return the mean direction away from points with another label; opposite ones cancel."""
    return np.asarray(-directions[~inside].mean(0))

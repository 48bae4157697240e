"""Speaker inversion: rebuild how somebody sounds from the embedding that should only verify him."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import opened
from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.inversion.embedding_inversion import EmbeddingInversionBrief, embedding_inversion
from hartley.kit.ridge import Ridge, cosines

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LEAST = 1e-4
"""Least spread over time of a band that is divided by."""

NARROW = 1.5
"""The kernel's width is the mean square distance of embeddings over this."""


@attack(
    game=embedding_inversion,
    access=Access.EMBEDDINGS,
    term=Term.SIGNAL,
    modalities=(Modality.AUDIO,),
    paper="hartley",
    adapts=True,
)
def speaker_inversion(
    view: View[EmbeddingInversionBrief], rng: Rng, *, curved: bool = True
) -> Outcome:
    """Regress the spectrum on the embedding, and render it with the movement of a like voice.

    The attacker learns, from clips of his own, the mean and the spread of every mel band as a
    function of the embedding. The rebuilt clip has the movement over time of his nearest clip, with
    the mean and the spread that were told.

    Args:
        curved: for each number that is told, also try a kernel regression on how like the embedding
            is to each of the attacker's, and keep whichever predicts left-out clips better.
    """
    del rng
    own, asked = view.brief.public, view.brief.question
    answers = np.asarray(view.model.query(own.x), dtype=np.float64)
    stolen = opened(view, answers)
    means, spreads = own.x[:, 0].mean(2), np.maximum(own.x[:, 0].std(2), LEAST)
    goal = np.concatenate([means, np.log(spreads)], 1).astype(np.float64)
    straight = Ridge.fit(answers, goal)
    told = straight(stolen)
    if curved:
        feel = _kernel(answers)
        bent = Ridge.fit(feel(answers), goal)
        told = np.where(bent.error < straight.error, bent(feel(stolen)), told)
    bands = means.shape[1]
    nearest = cosines(stolen, answers).argmax(1)
    movement = (own.x[nearest, 0] - means[nearest][..., None]) / spreads[nearest][..., None]
    made = told[:, :bands, None] + np.exp(told[:, bands:, None]) * movement
    clips = np.clip(made, 0, 1).astype(np.float32)[:, None]
    return Outcome(
        asset=Data("voices read from embeddings", asked.modality, clips, role="rebuilt records")
    )


def _kernel(anchors: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Features (n, k) whose inner products are a Gaussian kernel, on the span of the anchors.

    Entries are taken by their roots: a speaker encoder's are mostly small, and a few are large.
    """

    def rooted(x: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.sign(x) * np.sqrt(np.abs(x)))

    centres = rooted(anchors)
    width = max(2 * float(centres.var(0).sum()), 1e-12) / NARROW

    def alike(x: NDArray[Any]) -> NDArray[np.float64]:
        a = rooted(x)
        far = (a**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * a @ centres.T
        return np.asarray(np.exp(-np.maximum(far, 0) / width))

    size, turn = np.linalg.eigh(alike(anchors))
    real = size > 1e-9 * size[-1]
    whiten = turn[:, real] / np.sqrt(size[real])
    return lambda x: alike(x) @ whiten

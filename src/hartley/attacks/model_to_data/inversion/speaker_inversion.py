"""Speaker inversion: rebuild a voice from its speaker embedding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.attacks.model_to_data.inversion._shared.stolen_embeddings import unrotated
from hartley.core import Access, Data, Modality, Outcome, Term, View, attack
from hartley.games.inversion.embedding_inversion import EmbeddingInversionBrief, embedding_inversion
from hartley.kit.ridge import Ridge, cosines

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hartley.core.parts import Rng

LEAST = 1e-4
"""Least deviation over time of a band, which divides."""

NARROW = 1.5
"""The kernel's width is the mean squared distance of embeddings divided by this."""


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
    """Predict the mean spectrum from the embedding, and add the rhythm of a similar clip.

    On their own clips the attacker regresses the mean and the deviation of every mel band on the
    embedding. The rebuilt clip is the attacker's nearest clip with the predicted mean and
    deviation.

    Args:
        curved: for each predicted number, also try a kernel regression and use the one with the
            smaller leave-one-out error.
    """
    del rng
    public, question = view.brief.public, view.brief.question
    answers = np.asarray(view.model.query(public.x), dtype=np.float64)
    stolen = unrotated(view, answers)
    means, spreads = public.x[:, 0].mean(2), np.maximum(public.x[:, 0].std(2), LEAST)
    targets = np.concatenate([means, np.log(spreads)], 1).astype(np.float64)
    linear = Ridge.fit(answers, targets)
    predicted = linear(stolen)
    if curved:
        kernel = _kernel(answers)
        nonlinear = Ridge.fit(kernel(answers), targets)
        predicted = np.where(nonlinear.error < linear.error, nonlinear(kernel(stolen)), predicted)
    bands = means.shape[1]
    nearest = cosines(stolen, answers).argmax(1)
    movement = (public.x[nearest, 0] - means[nearest][..., None]) / spreads[nearest][..., None]
    spectra = predicted[:, :bands, None] + np.exp(predicted[:, bands:, None]) * movement
    clips = np.clip(spectra, 0, 1).astype(np.float32)[:, None]
    return Outcome(
        asset=Data("voices read from embeddings", question.modality, clips, role="rebuilt records")
    )


def _kernel(anchors: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[np.float64]]:
    """Return a map to features (n, k) whose inner products are a Gaussian kernel.

    The kernel uses signed square roots of the entries, since a speaker embedding has many small
    entries and a few large ones.
    """

    def signed_root(x: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(np.sign(x) * np.sqrt(np.abs(x)))

    centres = signed_root(anchors)
    width = max(2 * float(centres.var(0).sum()), 1e-12) / NARROW

    def similarity(x: NDArray[Any]) -> NDArray[np.float64]:
        a = signed_root(x)
        squared = (a**2).sum(1)[:, None] + (centres**2).sum(1) - 2 * a @ centres.T
        return np.asarray(np.exp(-np.maximum(squared, 0) / width))

    eigenvalues, vectors = np.linalg.eigh(similarity(anchors))
    large = eigenvalues > 1e-9 * eigenvalues[-1]
    whiten = vectors[:, large] / np.sqrt(eigenvalues[large])
    return lambda x: similarity(x) @ whiten

"""Weight reconstruction: find records whose gradients sum to a small net's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.memorization import small_nets as net
from hartley.games.memorization.training_set_reconstruction import (
    ReconstructionBrief,
    training_set_reconstruction,
)

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=training_set_reconstruction,
    access=Access.WEIGHTS,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="arXiv:2206.07758",
    light={"steps": 600},
)
def weight_reconstruction(
    view: View[ReconstructionBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1), Stronger.MORE] = 2500,
    rate: Annotated[float, Range(0, open_low=True)] = 0.01,
) -> Outcome:
    """Rebuild the training records from the weights, then score candidates by their distance.

    The search does not use the candidates. The score of a candidate is its negative Euclidean
    distance to the nearest rebuilt record with its label. Twice as many records are rebuilt as the
    net was trained on.

    Args:
        steps: steps of the search.
        rate: step size of the search.
    """
    question = view.brief.question
    weights = view.model.calls["weights"]()
    rebuilt, sign = net.reconstruct(weights, 2 * len(question), rng, steps=steps, rate=rate)
    centre, codes = view.brief.centre, view.brief.codes
    guess = np.empty(codes.shape[:2])
    for i, label in enumerate(question.labels):
        same_label = rebuilt[sign == (1 if label else -1)]
        differences = (codes[i] - centre)[:, None] - same_label
        guess[i] = -np.sqrt((differences**2).sum(2)).min(1)
    pictures = np.clip(rebuilt + centre, 0, 1).astype(np.float32)
    loot = Data(
        "records rebuilt",
        question.modality,
        pictures.reshape(-1, *question.x.shape[1:]),
        (sign > 0).astype(np.int64),
        role="secrets",
    )
    return Outcome(guess=guess, asset=loot)

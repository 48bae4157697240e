"""Reconstruction from weights: records whose gradients add up to a small net's parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np

from hartley.core import Access, Data, Modality, Outcome, Range, Term, View, attack
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
)
def weight_reconstruction(
    view: View[ReconstructionBrief],
    rng: Rng,
    *,
    steps: Annotated[int, Range(1)] = 2500,
    rate: Annotated[float, Range(0, open_low=True)] = 0.01,
) -> Outcome:
    """Rebuild the training records from the weights alone, then see which candidates they are near.

    The search never sees a candidate. The fixed matcher is the Euclidean distance of a candidate to
    the nearest record that was rebuilt with its label. Twice as many are rebuilt as there were.

    Args:
        steps: of the search.
        rate: of its steps.
    """
    asked = view.brief.question
    weights = view.model.calls["weights"]()
    found, sign = net.reconstruct(weights, 2 * len(asked), rng, steps=steps, rate=rate)
    centre, codes = view.brief.centre, view.brief.codes
    guess = np.empty(codes.shape[:2])
    for i, label in enumerate(asked.labels):
        near = found[sign == (1 if label else -1)]
        gaps = (codes[i] - centre)[:, None] - near
        guess[i] = -np.sqrt((gaps**2).sum(2)).min(1)
    shown = np.clip(found + centre, 0, 1).astype(np.float32)
    loot = Data(
        "records rebuilt",
        asked.modality,
        shown.reshape(-1, *asked.x.shape[1:]),
        (sign > 0).astype(np.int64),
        role="secrets",
    )
    return Outcome(guess=guess, asset=loot)

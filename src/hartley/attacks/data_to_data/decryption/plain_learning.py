"""Plain learning: train on published pictures as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from hartley.attacks.data_to_data.decryption._shared.picture_learner import learned
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.learnability import LearnabilityBrief, learnability

if TYPE_CHECKING:
    from hartley.core.parts import Rng


@attack(
    game=learnability,
    access=Access.NOTHING,
    term=Term.SIGNAL,
    modalities=(Modality.VISION,),
    paper="arXiv:2101.04898",
    light={"epochs": 8},
)
def plain_learning(
    view: View[LearnabilityBrief],
    rng: Rng,
    *,
    epochs: Annotated[int, Range(1), Stronger.MORE] = 20,
) -> Outcome:
    """Train a small convolutional net on the published pictures, as protections expect.

    Args:
        epochs: passes over the pictures.
    """
    return learned(view, rng, epochs, lambda pictures: pictures)

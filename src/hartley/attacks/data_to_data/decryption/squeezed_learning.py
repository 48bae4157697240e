"""Squeezed learning: compress published pictures before training on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.attacks.data_to_data.decryption._shared.picture_learner import learned
from hartley.core import Access, Modality, Outcome, Range, Stronger, Term, View, attack
from hartley.games.decryption.learnability import LearnabilityBrief, learnability
from hartley.kit.vision import image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@attack(
    game=learnability,
    access=Access.NOTHING,
    term=Term.NOISE,
    modalities=(Modality.VISION,),
    paper="arXiv:2301.13838",
    light={"epochs": 8},
    sweep={"squeeze": ("jpeg", "grey", "levels")},
)
def squeezed_learning(
    view: View[LearnabilityBrief],
    rng: Rng,
    *,
    squeeze: Literal["jpeg", "grey", "levels"] = "jpeg",
    quality: Annotated[int, Range(1, 100), Stronger.NEITHER] = 10,
    levels: Annotated[int, Range(2, 256), Stronger.NEITHER] = 4,
    epochs: Annotated[int, Range(1), Stronger.MORE] = 20,
) -> Outcome:
    """Compress pictures, so that the noise of a protection is lost, and train on what is left.

    Args:
        squeeze: by JPEG, by taking the mean of the colours, or by fewer levels of each.
        quality: of JPEG.
        levels: of each colour.
        epochs: passes over the pictures.
    """

    def prepared(pictures: NDArray[Any]) -> NDArray[Any]:
        if squeeze == "grey":
            return np.broadcast_to(pictures.mean(1, keepdims=True), pictures.shape)
        if squeeze == "levels":
            return np.asarray(np.rint(np.clip(pictures, 0, 1) * (levels - 1)) / (levels - 1))
        colours = np.broadcast_to(pictures, (len(pictures), 3, *pictures.shape[2:]))
        back = np.stack([image.jpeg(one, quality) for one in colours])
        return back[:, : pictures.shape[1]]

    return learned(view, rng, epochs, prepared)

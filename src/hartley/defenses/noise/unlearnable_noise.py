"""Unlearnable noise: one pattern for all pictures of a class, which nets learn in their place."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np

from hartley.core import Modality, Range, Scene, Term, defense
from hartley.games.decryption.learnability import LabelledPictures
from hartley.kit.vision.unlearnable import error_minimising, separable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hartley.core.parts import Rng


@defense(
    term=Term.NOISE,
    stage="data",
    protects=("learnability",),
    modalities=(Modality.VISION,),
    paper="arXiv:2101.04898",
    strongest={"epsilon": 1.0},
    keeps_proof=True,
    requires=("labelled_pictures",),
)
def unlearnable_noise(
    scene: Scene,
    rng: Rng,
    *,
    epsilon: Annotated[float, Range(0, 1)] = 16 / 255,
    law: Literal["separable", "error_minimising"] = "separable",
) -> Scene:
    """Add one pattern to all pictures of a class before they are published.

    Args:
        epsilon: most that a pixel changes by, of a range of 1.
        law: random squares of a few pixels (linearly separable, arXiv:2111.00898), or the pattern
            that makes a net's error the least as it is trained (arXiv:2101.04898).
    """
    del rng  # each publication draws its own
    given = scene.part(LabelledPictures)

    def protect(x: NDArray[Any], y: NDArray[Any], rng: Rng) -> NDArray[Any]:
        before = x if given.protect is None else given.protect(x, y, rng)
        make = separable if law == "separable" else error_minimising
        noisy = np.clip(before + make(before, y, epsilon, rng)[y], 0, 1)
        return np.asarray(noisy, dtype=np.float32)

    return scene.with_part(replace(given, protect=protect))

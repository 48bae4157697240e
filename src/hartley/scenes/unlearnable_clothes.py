"""Unlearnable clothes: labelled pictures that were published with noise against learning."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from hartley.core import Data, Modality, Range, Scene, Stronger, recipe
from hartley.data import vision as data
from hartley.games.decryption.learnability import LabelledPictures

RECORDS, HELD_OUT = 8000, 4000
"""Pictures that publications are drawn from, and those that are asked about."""


@recipe(modality=Modality.VISION, packs=("fashion-mnist",))
def unlearnable_clothes(*, seed: Annotated[int, Range(0), Stronger.NEITHER] = 0) -> Scene:
    """Pictures of clothes (Fashion-MNIST), before any protection; add ``unlearnable_noise``.

    Args:
        seed: of the split.
    """
    train, test = data.fashion()
    rng = np.random.default_rng(seed)
    rows, others = rng.permutation(len(train))[:RECORDS], rng.permutation(len(test))[:HELD_OUT]
    return Scene(
        name="unlearnable_clothes",
        modality=Modality.VISION,
        parts=(
            LabelledPictures(
                Data("clothes", Modality.VISION, train.x[rows], train.labels[rows]),
                Data("other clothes", Modality.VISION, test.x[others], test.labels[others]),
            ),
        ),
        facts={"pictures": RECORDS, "held out": HELD_OUT},
    )

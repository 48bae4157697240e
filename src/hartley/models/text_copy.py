"""A copy of a classifier of texts, trained on the answers of the original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Access, Data, Modality, Model
from hartley.kit.fleet import Training
from hartley.kit.language.bags import Bags
from hartley.kit.nets import dense
from hartley.models.pipeline import Pipeline

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCH = 32
"""Texts a step."""


def copy_of_texts(
    texts: NDArray[Any], answers: NDArray[Any], seed: int, *, hidden: int = 32, steps: int = 600
) -> Model:
    """Train a small net on which words and pairs of neighbours a text has.

    Args:
        texts: (n,) texts that the original answered.
        answers: (n, classes) what it answered, rows that sum to 1.
        seed: of the training.
        hidden: width of the hidden layer.
        steps: optimiser steps in all, however many texts there are.
    """
    bags = Bags()
    owner = Pipeline(
        dense((bags.width,), answers.shape[1], (hidden,)),
        Training(
            epochs=max(1, round(steps * BATCH / len(texts))), batch=BATCH, lr=3e-3, anneal=True
        ),
        modality=Modality.LANGUAGE,
        offers=Access.LABELS | Access.SCORES,
        cached=False,
        bags=bags,
    )
    data = Data("queried texts", Modality.LANGUAGE, texts, np.asarray(answers, np.float32))
    model = owner.fit(data, np.ones((1, len(texts)), dtype=bool), seed).member(0)
    return model.with_(fit=None, facts={**model.facts, "records asked": len(texts)})

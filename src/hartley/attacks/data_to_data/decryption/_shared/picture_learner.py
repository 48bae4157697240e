"""A small net that is trained on published pictures, and what it answers on others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hartley.core import Data, Modality, Outcome, View
from hartley.games.decryption.learnability import LearnabilityBrief
from hartley.kit.fleet import Training
from hartley.kit.nets import conv
from hartley.models.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from hartley.core.parts import Rng


def learned(
    view: View[LearnabilityBrief],
    rng: Rng,
    epochs: int,
    prepared: Callable[[NDArray[Any]], NDArray[Any]],
) -> Outcome:
    """Train a strided convolutional net and answer with its classes.

    Args:
        view: of the attacker.
        rng: of the training.
        epochs: passes over the published pictures.
        prepared: what is done to pictures before the net sees them, published ones and others.
    """
    x, y = np.asarray(prepared(view.data.x), dtype=np.float32), view.data.labels
    net = conv(x.shape[1:], view.brief.classes, channels=(16, 32), hidden=(64,))
    pipeline = Pipeline(net, Training(epochs=epochs, batch=64, lr=4e-3, anneal=True), cached=False)
    published = Data("published", Modality.VISION, x, y)
    include = np.ones((1, len(x)), dtype=bool)
    model = pipeline.fit(published, include, int(rng.integers(2**31))).member(0)
    others = np.asarray(prepared(view.brief.question.x), dtype=np.float32)
    guess = np.asarray(model.calls["query"](others)).argmax(1).astype(np.int64)
    return Outcome(
        guess=guess,
        asset=Data("pictures", Modality.VISION, x, y, role="plaintext"),
    )
